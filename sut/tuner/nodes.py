"""Devices on nodes behind wires, for a prediction: where each worker is, and what all share.

Runs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from sut.config.cluster import node_name
from sut.serve.queue_wire import (
    INTERPRETER,
    MEASURED_SIDE,
    NETWORK,
    NODE_NETWORK,
    Network,
    Side,
    Traffic,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.queue_model import QueueSetting
    from sut.serve.service_times import Measured

NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Nodes:
    """Equal nodes, filled one after the other.

    Attributes:
        workers: of a node: its devices times the engines of each.
        wire: to each.
        byte_ns: of the connection of LoadGen's machine; see sut.serve.queue_wire.byte_ns.
        traffic: bytes of the messages.
        side: what LoadGen's process needs for samples and batches.
    """

    workers: int
    wire: Wire
    byte_ns: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    side: Side = MEASURED_SIDE

    def count(self, workers: int) -> int:
        """Return how many nodes so many workers need."""
        return math.ceil(workers / self.workers)

    def on_the_way(self, service_ns: float) -> int:
        """Return how many batches a device computes while one of its is on the wire."""
        return on_the_way(self.wire.way_ns, service_ns)

    def placed(self, setting: QueueSetting) -> QueueSetting:
        """Return a setting with its devices on nodes."""
        node_of = [number // self.workers for number in range(len(setting.devices))]
        wires = (self.wire,) * self.count(len(setting.devices))
        return _placed(setting, node_of, Network(wires, self.byte_ns, self.traffic), self.side)

    def loads(self, samples_per_s: float, batch: int, workers: int) -> dict[str, float]:
        """Return how busy all that the nodes share is at a rate in full batches, as shares.

        Above 1 nothing that is behind it helps.
        """
        traffic = self.traffic
        batch_bytes = max(traffic.out_bytes(batch), traffic.back_bytes(batch))
        batches_per_ns = samples_per_s / batch / NS_PER_S
        nodes = self.count(workers)
        return {
            INTERPRETER: batches_per_ns * self.side.batch_ns(batch),
            NETWORK: batches_per_ns * batch_bytes * self.byte_ns,
            NODE_NETWORK: batches_per_ns / nodes * batch_bytes * self.wire.byte_ns,
        }

    def fullest(self, samples_per_s: float, batch: int, workers: int) -> float:
        """Return the largest of `loads`."""
        return max(self.loads(samples_per_s, batch, workers).values())


@dataclass(frozen=True, slots=True)
class MeasuredNodes:
    """The nodes of a cluster, as a measurement of S(b) found them.

    Attributes:
        node_of: index of the node of each worker.
        ways_ns: one way of a message to each node; see sut.serve.service_times.Measured.
        side: what LoadGen's process needs for samples and batches.
    """

    node_of: tuple[int, ...]
    ways_ns: tuple[float, ...]
    side: Side = MEASURED_SIDE

    @classmethod
    def of(cls, measured: Measured) -> Self | None:
        """Return the nodes of measured workers; None: they are in LoadGen's machine."""
        if not measured.ways_ns:
            return None
        names = list(measured.ways_ns)
        node_of = tuple(names.index(node_name(device)) for device, _ in measured.workers)
        return cls(node_of, tuple(measured.ways_ns.values()))

    def on_the_way(self, service_ns: float) -> int:
        """Return how many batches the farthest device computes while one of its is on the wire."""
        return on_the_way(max(self.ways_ns), service_ns)

    def costs_ns(self, worker: int) -> tuple[float, float, float]:
        """Return what the model adds to the hops of a batch, in ns: there, back, a sample back."""
        way_ns = self.ways_ns[self.node_of[worker]]
        return way_ns + self.side.send_ns, way_ns + self.side.answer_ns, self.side.sample_ns

    def placed(self, setting: QueueSetting) -> QueueSetting:
        """Return a setting with its devices on nodes. Their connections carry any load."""
        network = Network(tuple(map(Wire, self.ways_ns)))
        return _placed(setting, self.node_of, network, self.side)


def on_the_way(way_ns: float, service_ns: float) -> int:
    """Return how many batches a device computes while one of its is on the wire."""
    return math.ceil(2 * way_ns / service_ns)


def _placed(
    setting: QueueSetting, node_of: Sequence[int], network: Network, side: Side
) -> QueueSetting:
    devices = tuple(
        replace(device, node=node) for device, node in zip(setting.devices, node_of, strict=True)
    )
    return replace(setting, devices=devices, host=replace(setting.host, side=side), network=network)
