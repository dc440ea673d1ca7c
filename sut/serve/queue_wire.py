"""The wire of the queue model: what it takes to bring a batch to a node, and its answer back.

Pure, on a virtual clock. Knows bytes and times; neither sockets nor the policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.simulated.jitter import Jitter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The places that an answer passes on its way.
HOME = 2
_BITS = 8
# Names of what nodes share.
THREAD, INTERPRETER = "LoadGen's thread", "LoadGen's interpreter"
NETWORK, NODE_NETWORK = "LoadGen's network", "a node's network"
# Distinct from the random streams of devices and hops.
WIRE_STREAM = 1 << 17


def byte_ns(gbit_per_s: float) -> float:
    """Return the time of one byte at a rate in Gb/s (1e9 bits/s); 0.0 for an infinite rate."""
    return _BITS / gbit_per_s


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of the messages of a batch: one to the node, one back.

    Attributes:
        head_bytes: of each message, with what the protocols below it add.
        sample_out_bytes: to the node, a sample: its index, or the whole sample where samples
            travel.
        sample_back_bytes: from the node, a sample: its response.
    """

    head_bytes: float = 0.0
    sample_out_bytes: float = 4.0
    sample_back_bytes: float = 4.0

    def out_bytes(self, samples: int) -> float:
        """Return the bytes of a batch."""
        return self.head_bytes + samples * self.sample_out_bytes

    def back_bytes(self, samples: int) -> float:
        """Return the bytes of an answer."""
        return self.head_bytes + samples * self.sample_back_bytes


@dataclass(frozen=True, slots=True)
class Wire:
    """The way to one node, in both directions alike.

    Attributes:
        way_ns: one way of an empty message, from the call that sends it to the thread that has it:
            sockets, kernels, switches, cable.
        byte_ns: of the node's connection, in each direction; see `byte_ns`. Its devices share it.
        jitter: how much `way_ns` differs from message to message.
    """

    way_ns: float = 0.0
    byte_ns: float = 0.0
    jitter: Jitter = field(default_factory=Jitter)


@dataclass(frozen=True, slots=True)
class Side:
    """Processor time of LoadGen's process. One thread at a time has the interpreter: it adds up.

    Attributes:
        query_ns: a call of IssueQuery, with what woke its thread.
        sample_ns: a sample, from IssueQuery to its completion; taken with the answer.
        send_ns: a batch, to close and send it.
        answer_ns: a batch, to take its answer.
    """

    query_ns: float = 0.0
    sample_ns: float = 0.0
    send_ns: float = 0.0
    answer_ns: float = 0.0

    def batch_ns(self, samples: int) -> float:
        """Return all that a batch needs; calls of IssueQuery grow with the load, not in number."""
        return samples * self.sample_ns + self.send_ns + self.answer_ns


# Of remote workers over loopback: python -m tests.benchmarks.scale, docs/results/scale.md.
MEASURED_SIDE = Side(30e3, 1.0e3, 45e3, 45e3)
MEASURED_WAY_NS = 100e3


@dataclass(frozen=True, slots=True)
class Network:
    """All nodes, as LoadGen's machine sees them.

    Attributes:
        wires: one a node.
        byte_ns: of the connection of LoadGen's machine, in each direction. All nodes share it.
        traffic: bytes of the messages.
    """

    wires: tuple[Wire, ...]
    byte_ns: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)


class Serial:
    """Does one thing at a time, in the order in which it is asked: a cable, or a thread."""

    __slots__ = ("busy_ns", "free_ns")

    def __init__(self) -> None:
        self.free_ns = 0.0
        self.busy_ns = 0.0

    def take(self, now_ns: float, ns: float) -> float:
        """Return when something that comes now and takes `ns` is done."""
        self.busy_ns += ns
        self.free_ns = max(now_ns, self.free_ns) + ns
        return self.free_ns


class _Way:
    """Both directions to one node."""

    def __init__(self, wire: Wire, seed: int, stream: int) -> None:
        self.wire = wire
        self.out, self.back = Serial(), Serial()
        self._factors: Iterator[float] | None = None
        if wire.jitter.acts:
            self._factors = wire.jitter.factors(seed, stream)

    def latency_ns(self) -> float:
        """Return the latency of the next message."""
        factor = 1.0 if self._factors is None else next(self._factors)
        return self.wire.way_ns * factor


class Cables:
    """A network in use. Calls come in the order of their times.

    An answer passes two places: its node's connection, and that of LoadGen's machine. Each serves
    in the order of arrival.

    Args:
        network: the wires.
        nodes: of each worker; None: it is in LoadGen's machine.
        seed: of the jitter.
    """

    def __init__(self, network: Network, nodes: Sequence[int | None], seed: int) -> None:
        self._network = network
        self._out, self._back = Serial(), Serial()
        self._ways = [
            _Way(wire, seed, WIRE_STREAM + node) for node, wire in enumerate(network.wires)
        ]
        self._way_of = [None if node is None else self._ways[node] for node in nodes]
        # A worker's connection keeps the order of its messages.
        self._sent_ns = [0] * len(nodes)
        self._answered_ns = [0] * len(nodes)

    def send(self, worker: int, now_ns: int, samples: int) -> tuple[int, int]:
        """Return the places that the answer to a batch has passed, and when the batch is there.

        Its bytes go through both connections at the same time, so the slower one decides.
        """
        way, size = self._way_of[worker], self._network.traffic.out_bytes(samples)
        if way is None:
            return HOME, now_ns
        begun_ns = max(now_ns, self._out.free_ns)
        sent_ns = self._out.take(now_ns, size * self._network.byte_ns)
        passed_ns = max(sent_ns, way.out.take(begun_ns, size * way.wire.byte_ns))
        self._sent_ns[worker] = max(int(passed_ns + way.latency_ns()), self._sent_ns[worker])
        return 0, self._sent_ns[worker]

    def bring(self, worker: int, place: int, now_ns: int, samples: int) -> int:
        """Return when an answer that comes to a place now has passed it."""
        way, size = self._way_of[worker], self._network.traffic.back_bytes(samples)
        assert way is not None, "the answer of a worker in LoadGen's machine passes no place"
        if place:
            return int(self._back.take(now_ns, size * self._network.byte_ns))
        passed_ns = way.back.take(now_ns, size * way.wire.byte_ns) + way.latency_ns()
        self._answered_ns[worker] = max(int(passed_ns), self._answered_ns[worker])
        return self._answered_ns[worker]

    def busy(self, duration_ns: float) -> dict[str, float]:
        """Return the share of the time in which each was busy, in its busier direction."""
        both = [max(way.out.busy_ns, way.back.busy_ns) for way in self._ways]
        return {
            NETWORK: max(self._out.busy_ns, self._back.busy_ns) / duration_ns,
            NODE_NETWORK: max(both) / duration_ns,
        }
