"""Devices on nodes behind wires, for a prediction: where each worker is, and what all share.

Runs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sut.serve.queue_wire import (
    INTERPRETER,
    MEASURED_SIDE,
    NETWORK,
    NODE_NETWORK,
    Network,
    Side,
    Traffic,
)

if TYPE_CHECKING:
    from sut.serve.queue_model import QueueSetting
    from sut.serve.queue_wire import Wire

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
        return math.ceil(2 * self.wire.way_ns / service_ns)

    def placed(self, setting: QueueSetting) -> QueueSetting:
        """Return a setting with its devices on nodes."""
        devices = tuple(
            replace(device, node=number // self.workers)
            for number, device in enumerate(setting.devices)
        )
        wires = (self.wire,) * self.count(len(devices))
        network = Network(wires, self.byte_ns, self.traffic)
        return replace(
            setting, devices=devices, host=replace(setting.host, side=self.side), network=network
        )

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
