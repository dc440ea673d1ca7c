"""One try of `sut fit`: a batch size at one place, in processes of its own. Chooses nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from backends.base import PREPARES_SIZES
from sut.sweep.tries.attempt import TryRequest
from sut.sweep.tries.group import Times, TryGroup, supervised
from sut.sweep.tries.limit import WatchedLimit
from sut.sweep.tries.outcome import Kind, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload
    from sut.record.table import Value
    from sut.sweep.fit.memory import Memory
    from sut.sweep.tries.group import Launch

ACT = "sut.sweep.fit.act"
TRIES = "tries"
# A try may take so many times as long as the rate of an earlier one says.
_PATIENCE = 10.0
_BATCHES = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A place whose largest batch is wanted.

    Attributes:
        point: where it is, by axis: model, precision, resolution, instances.
        workload: the model and the shapes of its inputs.
        harness: backend, device and instances; its batch size is replaced.
        weights_bytes: of the model.
    """

    point: Mapping[str, Value]
    workload: Workload
    harness: HarnessSettings
    weights_bytes: int

    @property
    def processes(self) -> int:
        """How many run the batch at the same time."""
        return self.harness.instances

    @property
    def device(self) -> str:
        """The one that they share."""
        return self.harness.devices[0]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one try, as the journal keeps it.

    Attributes:
        point: see Target.
        batch: of each process.
        reserve: share of the limit that was left free.
        again: the batch fitted before, and this try confirms it.
        kind: see Kind.
        message: one line; empty if it fits.
        needed_bytes: what the processes took together; None if it does not fit.
        figures: of each process.
        facts: of the first engine.
        seconds: from start to end.
        folder: of its processes' output, relative to that of the command.
    """

    point: dict[str, str | int | float]
    batch: int
    reserve: float
    again: bool = False
    kind: Kind
    message: str = ""
    needed_bytes: int | None = None
    figures: tuple[dict[str, Any], ...] = ()
    facts: dict[str, str] = {}
    seconds: float = 0.0
    folder: str = ""

    @property
    def fits(self) -> bool:
        """Whether all processes ran their batches."""
        return self.kind is Kind.OK

    @property
    def samples_per_s(self) -> float:
        """Of all processes together; a glance, not a measurement."""
        return sum(float(one["samples_per_s"]) for one in self.figures)


class Trier:
    """Makes tries.

    Args:
        folder: of the command.
        memory: that a batch must fit into.
        times: how long a try may take, at least.
        is_gone: see TryGroup.
        launch: see TryGroup.
    """

    def __init__(
        self,
        folder: Path,
        memory: Memory,
        times: Times,
        is_gone: Callable[[str], str | None],
        launch: Launch = supervised,
    ) -> None:
        self._folder, self._memory = folder, memory
        self._times, self._is_gone, self._launch = times, is_gone, launch
        self._rates: dict[str, float] = {}

    def __call__(self, target: Target, batch: int, reserve: float) -> Tried:
        """Try a batch, with a share of the memory left free.

        Raises:
            Stopped: a signal came.
        """
        start_s = time.monotonic()
        requests = self._requests(target, batch, reserve)
        limit = self._memory.limit(reserve)
        try:
            times = self._times_of(target, batch)
            with TryGroup(requests, limit, times, self._is_gone, self._launch) as group:
                group.start()
                outcomes = group.outcomes()
        finally:
            limit.close()
        found = worst(outcomes)
        tried = Tried(
            point=dict(target.point),
            batch=batch,
            reserve=reserve,
            kind=found.kind,
            message=found.message,
            seconds=time.monotonic() - start_s,
            folder=requests[0].out_dir.removeprefix(f"{self._folder.absolute()}/"),
        )
        if found.kind is not Kind.OK:
            return tried
        figures = tuple(outcome.figures for outcome in outcomes)
        needed = self._memory.needed_bytes(figures, reserve)
        if isinstance(limit, WatchedLimit) and limit.is_below(needed):
            return msgspec.structs.replace(
                tried, kind=Kind.OVER_LIMIT, message=f"took {needed / 1e6:,.1f} MB"
            )
        tried = msgspec.structs.replace(
            tried, figures=figures, facts=outcomes[0].facts, needed_bytes=needed
        )
        self._rates[_key(target)] = tried.samples_per_s
        return tried

    def _requests(self, target: Target, batch: int, reserve: float) -> list[TryRequest]:
        harness = target.harness
        graphs = {"graph_sizes": batch} if harness.backend in PREPARES_SIZES else {}
        harness = replace(
            harness,
            max_batch_size=batch,
            device_max_batch_size={},
            backend_options={**harness.backend_options, **graphs},
        )
        spec = harness.engine(target.workload, target.device)
        folder = self._new_folder(batch)
        requests = []
        for number in range(target.processes):
            out = folder / f"process-{number}"
            out.mkdir()
            taken = self._memory.taken_bytes(reserve) if number == 0 else 0
            requests.append(
                TryRequest(
                    out_dir=str(out.absolute()),
                    workload=target.workload,
                    backend=spec.backend,
                    max_batch_size=batch,
                    act=ACT,
                    device=spec.device,
                    options=dict(spec.options),
                    slots=spec.slots,
                    cores=spec.cores,
                    taken_bytes=taken,
                )
            )
        return requests

    def _new_folder(self, batch: int) -> Path:
        tries = self._folder / TRIES
        tries.mkdir(exist_ok=True)
        number = sum(1 for _ in tries.iterdir()) + 1
        folder = tries / f"{number:04d}-batch-{batch}"
        folder.mkdir()
        return folder

    def _times_of(self, target: Target, batch: int) -> Times:
        """Return how long a try may take: large batches on a slow device take their time."""
        rate = self._rates.get(_key(target))
        if rate is None:
            return self._times
        batches_s = _PATIENCE * _BATCHES * batch * target.processes / rate
        return replace(self._times, run_s=max(self._times.run_s, batches_s))


def _key(target: Target) -> str:
    return repr(sorted(target.point.items()))
