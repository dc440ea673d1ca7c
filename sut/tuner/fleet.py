"""The smallest number of devices of a kind that holds a load within a bound, by the queue model.

Asks the model what the tuner asks: every batch size, closed late and after several fixed delays.
Runs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sut.serve.queue_wire import NODE_NETWORK
from sut.tuner import space
from sut.tuner.job import Job, Space, Variant
from sut.tuner.learning import usual_room
from sut.tuner.model import NS_PER_S, Effort, Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sut.config.settings import WorkerKind
    from sut.tuner.job import Bound, Candidate
    from sut.tuner.kinds import Kind
    from sut.tuner.learnt import Learnt
    from sut.tuner.nodes import Nodes

PLANNED = Effort(30_000, (1, 2), 1e-3)
# The length of the run in which the load is held: LoadGen's own, which decides on early stopping.
RUN_S = 600.0
# With batches of one, this many times the devices that could just process them are idle half of the
# time: what they do not hold, no number of them does.
_IDLE_HALF = 2.0
# A sample waits for one batch and runs in the next: the best batch is that of which two nearly fill
# the bound. Such batches are asked first; all are asked in the end.
_SHARE_OF_TWO = 0.9
# Random arrivals queue before what is busier than this. It is named where no number of nodes helps.
_NEARLY_FULL = 0.7


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many devices of a kind, and how they hold the load.

    Attributes:
        kind: of device.
        devices: the smallest number of them.
        candidate: the settings of the harness.
        percentile_ns: the bounded percentile at that load.
        busy: share of the time in which the devices compute.
        loads: of what they share; see sut.serve.queue_model.QueueResult.
        nodes: that they stand on; None: in LoadGen's machine.
    """

    kind: Kind
    devices: int
    candidate: Candidate
    percentile_ns: float
    busy: float
    loads: Mapping[str, float]
    nodes: int | None = None

    @property
    def power_w(self) -> float | None:
        """Power of all devices at this load; None: unknown."""
        watts = self.kind.watts(self.busy)
        return None if watts is None else self.devices * watts


class Planner:
    """One load and its bound.

    Args:
        qps: queries/s, one sample each, at random times (Poisson).
        bound: of the latency.
        confidence: that a run holds the load, as `sut tune` plans before its first run.
        effort: of a prediction.
        nodes: that the devices stand on, for kinds with one engine a device; None: all are in
            LoadGen's machine.
    """

    def __init__(
        self,
        qps: float,
        bound: Bound,
        confidence: float,
        effort: Effort = PLANNED,
        nodes: Nodes | None = None,
    ) -> None:
        self._effort = effort
        self._on = nodes
        self._qps = qps
        self._bound = bound
        self._slower = math.exp(usual_room(confidence))

    def smallest(self, kind: Kind) -> Fleet | None:
        """Return the fewest devices of a kind that hold the load; None: no number of them does."""
        if max(self.full(kind).values(), default=0.0) > 1:
            return None
        most = self._most(kind)
        high = low = self._least(kind)
        found = self.fleet(kind, high)
        step = 1
        while found is None:
            if high >= most:
                return None
            low, high = high + 1, min(high + step, most)
            found, step = self.fleet(kind, high), 2 * step
        while low < high:  # `high` holds the load, everything below `low` does not
            middle = (low + high) // 2
            fewer = self.fleet(kind, middle)
            if fewer is None:
                low = middle + 1
            else:
                high, found = middle, fewer
        return found

    def fleet(self, kind: Kind, devices: int) -> Fleet | None:
        """Return the first settings with which so many devices hold the load; None: none do."""
        nodes = self._nodes(kind)
        model = Model({Variant(): kind.measured(devices)}, (self._bound,), RUN_S, nodes=nodes)
        learnt, effort = self._learnt(kind), self._effort
        workers = devices * kind.instances
        for candidate in self.candidates(kind, model):
            if (
                nodes
                and max(nodes.loads(self._qps, candidate.max_batch_size, workers).values()) > 1
            ):
                continue
            if model.holds(candidate, self._qps, learnt, effort):
                percentile_ns = model.percentile_ns(candidate, self._qps, learnt, effort)
                run = model.simulate(candidate, self._qps, learnt, effort.samples, effort.seeds[0])
                busy = sum(run.busy) / len(run.busy)
                count = None if nodes is None else nodes.count(workers)
                return Fleet(kind, devices, candidate, percentile_ns, busy, run.loads, count)
        return None

    def full(self, kind: Kind) -> dict[str, float]:
        """Return what the nodes share and the load alone would nearly fill, with its share of time.

        With the largest batches that fit into the bound, and as few devices as can process it: more
        devices or smaller batches only add to it.
        """
        nodes = self._nodes(kind)
        if nodes is None:
            return {}
        largest = max(self._in_bound(kind), default=1)
        workers = self._least(kind) * kind.instances
        loads = nodes.loads(self._qps, largest, workers)
        del loads[NODE_NETWORK]  # more nodes have more of it
        return {name: share for name, share in loads.items() if share > _NEARLY_FULL}

    def _nodes(self, kind: Kind) -> Nodes | None:
        on = self._on
        return None if on is None else replace(on, workers=on.workers * kind.instances)

    def candidates(self, kind: Kind, model: Model) -> Iterator[Candidate]:
        """Yield the settings to ask the model for: first those that hold most, if anything does."""
        curve = model.measured[Variant()].curves[0][1]
        largest = max(self._in_bound(kind), default=1)
        workers: WorkerKind = "process" if self._on is None else "remote"
        job = Job("Server", (self._bound,), Space(workers=(workers,), largest_batch=largest))
        least = self._qps * self._learnt(kind).service_ratio
        able = [c for c in space.first_look(job, model) if model.rate(c) >= least]
        wanted_ns = _SHARE_OF_TWO / 2 * self._bound.limit_ns
        able.sort(key=lambda c: abs(curve.service_ns(c.max_batch_size) - wanted_ns))
        for late in (True, False):
            for first in able:
                for candidate in space.delays(job, model, first) or [first]:
                    if isinstance(candidate.max_queue_delay_us, str) == late:
                        yield replace(candidate, sizes=kind.sizes)

    def _in_bound(self, kind: Kind) -> list[int]:
        """Return the batch sizes that were measured, and of which one fits into the bound."""
        return [size for size, p in kind.points.items() if p.median_ns <= self._bound.limit_ns]

    def _learnt(self, kind: Kind) -> Learnt:
        return kind.learnt.slower(self._slower)

    def _least(self, kind: Kind) -> int:
        """Return the number below which not even full batches suffice."""
        sizes = self._in_bound(kind) or [1]
        return self._count(max(size / kind.points[size].median_ns for size in sizes), 1.0, kind)

    def _most(self, kind: Kind) -> int:
        return self._count(1 / kind.points[1].median_ns, _IDLE_HALF, kind)

    def _count(self, samples_per_ns: float, spare: float, kind: Kind) -> int:
        rate = samples_per_ns * NS_PER_S / self._slower * kind.instances
        return max(1, math.ceil(spare * self._qps / rate))
