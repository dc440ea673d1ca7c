"""Predicts any number of nodes from what one of them showed, by the queue model.

From the batches of one node come S(b), the service time of a batch of b samples, and the hops: all
that a batch waits beside its device, the wire with it. What more nodes add is what they share:
LoadGen's process, with its measured costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backends.simulated.jitter import Jitter
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device, Host
from sut.serve.queue_model import QueueSetting, simulate
from sut.serve.queue_wire import MEASURED_SIDE
from sut.serve.service_times import curve_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from backends.simulated.curve import Curve
    from sut.config.settings import HarnessSettings
    from sut.serve.queue_model import QueueResult
    from sut.serve.queue_wire import Side

    Batches = Mapping[str, NDArray[np.int64]]

_SAMPLES = 10_000
# A run where every slot is full has this many batches a worker: the start and the end count little.
_BATCHES = 200
_SPREADS = 0.01, 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What one node showed.

    Attributes:
        curve: S(b).
        host: the hops.
    """

    curve: Curve
    host: Host


def shown(runs: Sequence[Batches], side: Side = MEASURED_SIDE) -> Shown:
    """Return what the batches of some runs show; the hops are those of the first.

    Args:
        runs: columns of batches; see sut.record.trace.BATCH_FIELDS.
        side: costs of LoadGen's process, which the hops of one node already have.
    """
    hops = runs[0]
    sizes = np.concatenate([batches["samples"] for batches in runs])
    ran_ns = np.concatenate([b["finished_ns"] - b["started_ns"] for b in runs])
    times = {int(size): float(np.median(ran_ns[sizes == size])) for size in np.unique(sizes)}
    curve = curve_of({size: max(ns, 1.0) for size, ns in times.items()})
    in_ns = _way_in_ns(hops)
    way_out = hops["completed_ns"] - hops["finished_ns"]
    out_ns = float(way_out.mean())
    spread = float(np.clip(way_out.std() / max(out_ns, 1.0), *_SPREADS))
    batch_ns = side.sample_ns * float(hops["samples"].mean())
    host = Host(
        hop_in_ns=max(0.0, in_ns - side.send_ns),
        hop_out_ns=max(0.0, out_ns - side.answer_ns - batch_ns),
        jitter=Jitter("lognormal", spread),
        side=side,
    )
    return Shown(curve, host)


def predicted(seen: Shown, harness: HarnessSettings, qps: float | None) -> QueueResult:
    """Return what so many workers will do: at a rate, or for None with every slot full."""
    workers = sum(1 for _ in harness.worker_devices())
    device = Device(seen.curve, harness.slots)
    setting = QueueSetting(
        devices=(device,) * workers,
        batcher=BatcherSettings(harness.max_batch_size, harness.max_queue_delay_ns),
        samples=_SAMPLES,
        host=seen.host,
    )
    if qps is None:
        samples = _BATCHES * workers * harness.max_batch_size
        return simulate(replace(setting, scenario="Offline", samples=samples))
    return simulate(replace(setting, qps=qps))


def _way_in_ns(batches: Batches) -> float:
    """Return the median from a closed batch to its start, of batches that found an idle device."""
    found = []
    for worker in np.unique(batches["worker"]):
        mine = np.flatnonzero(batches["worker"] == worker)
        mine = mine[np.argsort(batches["started_ns"][mine])]
        waited = batches["started_ns"][mine] - batches["closed_ns"][mine]
        idle = batches["closed_ns"][mine[1:]] > batches["finished_ns"][mine[:-1]]
        # Without such a batch the shortest says most.
        found.append(waited[1:][idle] if idle.any() else waited.min(keepdims=True))
    return float(np.median(np.concatenate(found)))
