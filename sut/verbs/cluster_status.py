"""`sut cluster status`: how the nodes are that `sut cluster up` brought up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_FAILED, EXIT_VALID
from sut.serve.cluster.placing import launch
from sut.verbs.cluster_text import show

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut cluster status cluster.yaml
  sut cluster status cluster.yaml --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES + "Exit code 0: every node is up; 1: one is not.\n"
    parser.add_argument("file", type=Path, metavar="FILE", help="that of sut cluster up")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Show the nodes; return the exit code."""
    file = arguments.file.absolute()
    launch.check_file(file)
    state = launch.status(file)
    if state is None:
        why = launch.why_ended(file)
        text = f"{arguments.file}: it is not up{': its head has ended: ' * bool(why)}{why or '.'}"
        print(json.dumps(None) if arguments.json else text)
        return EXIT_FAILED
    show(state, as_json=arguments.json)
    return EXIT_VALID if all(node.phase == "up" for node in state.nodes) else EXIT_FAILED
