"""`sut cluster keys`: the keys that nodes and runs know each other by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID
from sut.base.extras import needs_pyzmq

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut cluster keys keys
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write them")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Make the keys; return the exit code."""
    with needs_pyzmq("sut cluster keys"):
        from sut.serve.cluster.security import make_keys  # noqa: PLC0415 - it needs the extra

    paths = make_keys(arguments.folder)
    if arguments.json:
        print(json.dumps({"keys": [str(path) for path in paths]}))
        return EXIT_VALID
    for path in paths:
        print(path)
    print(f"Copy {arguments.folder} to every machine, and name it as keys in the cluster file.")
    return EXIT_VALID
