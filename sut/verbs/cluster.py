"""`sut cluster`: the machines that answer a run from elsewhere."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sut.verbs import (
    cluster_down,
    cluster_keys,
    cluster_node,
    cluster_scaling,
    cluster_status,
    cluster_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

EXAMPLES = """examples:
  sut cluster keys keys
  sut cluster node --name alpha --listen 127.0.0.1:7700
  sut run -b efficientnet-lite0 -s Offline --cluster cluster.yaml
"""
ACTIONS: dict[str, tuple[ModuleType, str]] = {
    "node": (cluster_node, "let this machine's devices answer runs, until it is stopped"),
    "scaling": (cluster_scaling, "measure 1 to N nodes: share of linear, and what stops it"),
    "up": (cluster_up, "let Ray place, start and watch the nodes of a cluster file"),
    "status": (cluster_status, "show the nodes that were brought up, and how they are"),
    "down": (cluster_down, "end the nodes that were brought up"),
    "keys": (cluster_keys, "make the keys that nodes and runs know each other by"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: an action with its own."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    for name, (module, text) in ACTIONS.items():
        action = actions.add_parser(
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


def main(arguments: argparse.Namespace, command: str) -> int:
    """Do what was asked; return the exit code."""
    act: Callable[[argparse.Namespace, str], int] = ACTIONS[arguments.action][0].main
    return act(arguments, command)
