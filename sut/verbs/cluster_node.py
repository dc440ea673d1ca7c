"""`sut cluster node`: the agent of one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, ConfigError

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut cluster node --name alpha
  sut cluster node --name beta --listen 10.0.0.2:7700 --keys keys --devices 0,1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("--name", required=True, help="of this node, as the cluster file spells it")
    parser.add_argument(
        "--listen",
        default="127.0.0.1:7700",
        metavar="HOST:PORT",
        help="where runs connect (127.0.0.1:7700); another address than loopback needs --keys",
    )
    parser.add_argument("--keys", metavar="DIR", help="the folder of sut cluster keys")
    parser.add_argument("--devices", metavar="0,1", help="devices that a run may use (all)")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Answer runs until a signal comes; return the exit code."""
    try:
        from sut.serve.cluster.node import Node  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise ConfigError(
            "sut cluster node needs pyzmq. Install it: pip install -e .[cluster]"
        ) from error

    devices = tuple(arguments.devices.split(",")) if arguments.devices else ()
    node = Node(arguments.name, arguments.listen, devices, arguments.keys)
    print(f"node {arguments.name}: listens at {node.address}", flush=True)
    node.run()
    return EXIT_VALID
