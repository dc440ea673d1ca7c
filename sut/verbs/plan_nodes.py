"""The options of `sut plan` about nodes: devices on machines behind a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.serve.queue_wire import MEASURED_WAY_NS, Traffic, Wire, byte_ns
from sut.tuner.nodes import Nodes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_US = 1e3
_INDEX_BYTES = 4.0
# A message of one batch, below its samples: its own head, ZeroMQ's, and TCP/IP over Ethernet.
HEAD_BYTES = 120.0
_GBIT = 25.0


def add_arguments(parser: argparse.ArgumentParser, positive: Callable[[str], float]) -> None:
    """Add the options."""
    nodes = parser.add_argument_group("nodes: the devices are on machines of their own")
    nodes.add_argument(
        "--per-node", type=int, metavar="N", help="devices of a node (default: no nodes)"
    )
    nodes.add_argument(
        "--wire-us", type=positive, metavar="U",
        help=f"one way of a message, sockets and network ({MEASURED_WAY_NS / _US:g}, on loopback)",
    )  # fmt: skip
    nodes.add_argument(
        "--gbit", type=positive, metavar="G",
        help=f"connection of LoadGen's machine, in Gb/s ({_GBIT:g})",
    )  # fmt: skip
    nodes.add_argument(
        "--node-gbit", type=positive, metavar="G", help="connection of a node (the same)"
    )
    nodes.add_argument(
        "--sample-bytes", type=positive, metavar="B",
        help="what travels to the node for each sample: 150528 for an image in the network "
        f"division (its index, {_INDEX_BYTES:g})",
    )  # fmt: skip
    nodes.add_argument(
        "--answer-bytes", type=positive, metavar="B",
        help=f"what travels back for each sample ({_INDEX_BYTES:g})",
    )  # fmt: skip


def nodes_of(arguments: argparse.Namespace) -> Nodes | None:
    """Return the nodes that the user describes; None: none.

    Raises:
        ConfigError: a node without devices, or something about nodes without --per-node.
    """
    per_node = arguments.per_node
    if per_node is None:
        for name in ("wire_us", "gbit", "node_gbit", "sample_bytes", "answer_bytes"):
            if getattr(arguments, name) is not None:
                raise ConfigError(
                    f"--{name.replace('_', '-')} is about nodes; expected --per-node N, too, the "
                    "devices of a node."
                )
        return None
    if per_node < 1:
        raise ConfigError(f"--per-node is {per_node}; expected 1 or more devices.")
    way_ns = MEASURED_WAY_NS if arguments.wire_us is None else arguments.wire_us * _US
    gbit = arguments.gbit or _GBIT
    traffic = Traffic(
        HEAD_BYTES, arguments.sample_bytes or _INDEX_BYTES, arguments.answer_bytes or _INDEX_BYTES
    )
    wire = Wire(way_ns, byte_ns(arguments.node_gbit or gbit))
    return Nodes(per_node, wire, byte_ns(gbit), traffic)
