"""`sut video`: streams of video through a pipeline of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.verbs import video_clip, video_max_streams, video_run, video_sweep
from sut.verbs.actions import act, add_actions

if TYPE_CHECKING:
    import argparse

    from sut.verbs.actions import Actions

EXAMPLES = """examples:
  sut video run people-faces-masks --source clip.mp4 --streams 4
  sut video run my.yaml --source street.mp4 --streams 16 --loop --duration-s 30 --pace live --fps 30
  sut video max-streams people --source clip.mp4 --fps 30
"""
ACTIONS: Actions = {
    "run": (video_run, "run streams through a pipeline once"),
    "max-streams": (video_max_streams, "find the most streams that hold a rate"),
    "sweep": (video_sweep, "play trackers x intervals x streams x devices, as a table"),
    "clip": (video_clip, "make a clip that anyone can make"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: an action with its own."""
    add_actions(parser, ACTIONS, EXAMPLES)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Do what was asked; return the exit code."""
    return act(ACTIONS, arguments, command)
