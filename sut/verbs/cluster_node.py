"""`sut cluster node`: the agent of one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, ConfigError
from sut.base.extras import needs_pyzmq
from sut.base.process import before_others, parse_affinity
from sut.config.cluster import check_name

if TYPE_CHECKING:
    import argparse

_PORTS = range(1, 1 << 16)
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
    parser.add_argument(
        "--affinity", metavar="0:0-15&1:16-31", help="cores of each device's workers (all)"
    )
    parser.add_argument(
        "--worker-ports",
        metavar="7701-7716",
        help="where workers listen, one port each, for a firewall that must know (any)",
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Answer runs until a signal comes; return the exit code."""
    with needs_pyzmq("sut cluster node"):
        from sut.serve.cluster.node import Node  # noqa: PLC0415 - it needs the extra
        from sut.serve.cluster.session import Offer  # noqa: PLC0415 - it needs the extra

    check_name(arguments.name)
    offer = Offer(
        devices=tuple(arguments.devices.split(",")) if arguments.devices else (),
        affinity=parse_affinity(arguments.affinity or ""),
        ports=_ports(arguments.worker_ports),
    )
    # Its heartbeat must leave while engines take every core: a run gives up a node that is silent.
    before_others()
    node = Node(arguments.name, arguments.listen, offer, arguments.keys)
    print(f"node {arguments.name}: listens at {node.address}", flush=True)
    node.run()
    return EXIT_VALID


def _ports(text: str | None) -> range:
    """Read FIRST-LAST; nothing: any port.

    Raises:
        ConfigError: it has another form, or is empty.
    """
    if text is None:
        return range(0)
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise ConfigError(f'--worker-ports: "{text}"; expected FIRST-LAST, such as 7701-7716.')
    ports = range(int(first), int(last) + 1)
    if not (ports and ports[0] in _PORTS and ports[-1] in _PORTS):
        raise ConfigError(
            f"--worker-ports: {text}; expected ports from 1 to 65535, the least first."
        )
    return ports
