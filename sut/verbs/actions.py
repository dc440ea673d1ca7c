"""A verb with actions, such as `sut video run`: each is a module with arguments of its own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    # The module of an action, and what it does in a few words, by its name.
    Actions: TypeAlias = Mapping[str, tuple[ModuleType, str]]


def add_actions(parser: argparse.ArgumentParser, actions: Actions, examples: str) -> None:
    """Let a verb have actions; `arguments.action` names the one that was chosen."""
    parser.epilog = examples
    group = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    for name, (module, text) in actions.items():
        action = group.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        # Before the action or behind it.
        for option in ("--json", "--debug"):
            action.add_argument(
                option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
            )
        module.add_arguments(action)


def act(actions: Actions, arguments: argparse.Namespace, command: str) -> int:
    """Do what was chosen; return the exit code."""
    main: Callable[[argparse.Namespace, str], int] = actions[arguments.action][0].main
    return main(arguments, command)
