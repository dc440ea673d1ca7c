"""`sut cluster down`: ends the nodes that `sut cluster up` brought up, and Ray if it started it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID
from sut.serve.cluster.placing import launch

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut cluster down cluster.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("file", type=Path, metavar="FILE", help="that of sut cluster up")


def main(arguments: argparse.Namespace, command: str) -> int:
    """End the cluster, if it is up; return the exit code."""
    file = arguments.file.absolute()
    launch.check_file(file)
    state = launch.down(file)
    names = [] if state is None else [node.name for node in state.nodes]
    if arguments.json:
        print(json.dumps({"ended": names}))
    else:
        print(f"ended: {', '.join(names)}" if names else f"{arguments.file}: it was not up.")
    return EXIT_VALID
