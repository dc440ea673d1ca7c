"""`sut cluster up`: nodes that Ray places, starts and watches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, SutError
from sut.config.cluster import read_cluster_file
from sut.serve.cluster.placing import launch
from sut.verbs.cluster_text import show

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut cluster up cluster.yaml
  sut run -b efficientnet-lite0 -s Offline --cluster cluster.yaml
  sut cluster down cluster.yaml
"""
_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("file", type=Path, metavar="FILE", help="a cluster file with a section ray")
    parser.add_argument(
        "--stay", action="store_true", help="do not return; the cluster ends with this command"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Bring the cluster up; return the exit code."""
    file = arguments.file.absolute()
    state = launch.up(file, read_cluster_file(file))
    show(state, as_json=arguments.json)
    if not arguments.stay:
        return EXIT_VALID
    try:
        while launch.status(file) is not None:
            time.sleep(_LOOK_S)
        raise SutError(f"the cluster has ended: {launch.why_ended(file) or 'somebody ended it'}")
    finally:
        launch.down(file)
