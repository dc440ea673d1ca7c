"""A device and its host in the queue model: when the batches that it is sent are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from backends.ladder import fitting
from backends.simulated.jitter import Jitter
from backends.simulated.timeline import Timeline
from sut.serve.queue_wire import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

# Distinct from the random streams of the devices' jitter.
HOST_STREAM = 1 << 16


class ServiceTime(Protocol):
    """S(b), such as `backends.simulated.curve.Curve`."""

    def service_ns(self, batch: int, /) -> float:
        """Return the time of a batch of `batch` samples in ns."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, and the worker in front of it.

    Attributes:
        service: its S(b).
        slots: batches in flight.
        jitter: how much its batches differ from S(b).
        copy_in_ns: time to bring one sample to the device.
        copy_out_ns: time to bring one answer back.
        max_batch_size: samples, if the device takes fewer than the batcher allows.
        sizes: the engine's ladder, ascending, up to its largest batch; empty: it runs every size.
        node: index of its node in the network; None: it is in LoadGen's machine.
    """

    service: ServiceTime
    slots: int = 2
    jitter: Jitter = field(default_factory=Jitter)
    copy_in_ns: float = 0.0
    copy_out_ns: float = 0.0
    max_batch_size: int | None = None
    sizes: tuple[int, ...] = ()
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The time that the program itself adds; by default none.

    Attributes:
        issue_ns: time of one IssueQuery, during which LoadGen issues nothing else.
        coalesce: LoadGen issues all queries that became due meanwhile in one call.
        hop_in_ns: from a closed batch to its launch on the device.
        hop_out_ns: from the device's answer to QuerySamplesComplete and the free slot.
        jitter: how much the two hops differ from batch to batch.
        side: what the interpreter of LoadGen's process needs, and all devices share.
    """

    issue_ns: float = 0.0
    coalesce: bool = True
    hop_in_ns: float = 0.0
    hop_out_ns: float = 0.0
    jitter: Jitter = field(default_factory=Jitter)
    side: Side = field(default_factory=Side)


# From traces of process workers and simulated devices on two shared cores at 4,000 to 20,710
# queries/s; hop_in while the device was idle. Measure your own machine.
MEASURED_HOST = Host(6e3, True, 110e3, 290e3, Jitter("lognormal", 0.8))


def cap_of(device: Device, largest: int) -> int:
    """Return the largest batch of a device, where the batcher allows `largest`."""
    return largest if device.max_batch_size is None else min(device.max_batch_size, largest)


class Worker:
    """A device with the hops to it; makes no decision."""

    def __init__(self, device: Device, cap: int, host: Host, seed: tuple[int, int]) -> None:
        """Make one for batches of up to `cap`; `seed` is that of the run, and its index."""
        taken = (fitting(device.sizes, size) for size in range(1, cap + 1))
        self.service_ns = [0.0, *map(device.service.service_ns, taken)]
        factors = device.jitter.factors(*seed) if device.jitter.acts else None
        self._timeline = Timeline(self.service_ns, factors, device.copy_in_ns, device.copy_out_ns)
        self._hops: Iterator[float] | None = None
        if host.jitter.acts:
            run, index = seed
            self._hops = host.jitter.factors(run, HOST_STREAM + index)
        self._in_ns, self._out_ns = host.hop_in_ns, host.hop_out_ns
        self._launched_ns = self._completed_ns = 0
        self.busy_ns = self.batches = 0

    def run(self, closed_ns: int, samples: int) -> tuple[int, int, int]:
        """Return when its answer leaves, when the device finished it, and how long it took."""
        in_ns, out_ns = self._in_ns, self._out_ns
        if self._hops is not None:
            in_ns *= next(self._hops)
            out_ns *= next(self._hops)
        # One thread launches and one completes, each in order.
        self._launched_ns = max(closed_ns + int(in_ns), self._launched_ns)
        times = self._timeline.submit(self._launched_ns, samples)
        self._completed_ns = max(times.done_ns + int(out_ns), self._completed_ns)
        service_ns = times.finished_ns - times.started_ns
        self.busy_ns += service_ns
        self.batches += 1
        return self._completed_ns, times.finished_ns, service_ns
