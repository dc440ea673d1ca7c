"""`sut video`: streams of video through a pipeline of models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sut.verbs import video_clip, video_max_streams, video_run, video_sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

EXAMPLES = """examples:
  sut video run people-faces-masks --source clip.mp4 --streams 4
  sut video run my.yaml --source street.mp4 --streams 16 --loop --duration-s 30 --pace live --fps 30
  sut video max-streams people --source clip.mp4 --fps 30
"""
ACTIONS: dict[str, tuple[ModuleType, str]] = {
    "run": (video_run, "run streams through a pipeline once"),
    "max-streams": (video_max_streams, "find the most streams that hold a rate"),
    "sweep": (video_sweep, "play trackers x intervals x streams x devices, as a table"),
    "clip": (video_clip, "make a clip that anyone can make"),
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
