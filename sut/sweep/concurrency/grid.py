"""The points of a grid, what each of their processes is asked for, and how long they take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

from sut.base.errors import ConfigError
from sut.config.settings import CPU
from sut.sweep.concurrency import act
from sut.sweep.concurrency.act import Asked
from sut.sweep.engine_options import options_of_own
from sut.sweep.task import Task
from sut.sweep.tries.attempt import TryRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sut.record.table import Value

# processes: an engine in each of several processes; threads: several engines in one process, each
# with a thread; streams: one engine in one process with several batches on the device; mps:
# processes behind NVIDIA's Multi-Process Service.
Share = Literal["processes", "threads", "streams", "mps"]
SHARES: tuple[Share, ...] = get_args(Share)
# What a process takes until its engine is open, in s, where it was compiled and kept before: to
# import the library and to make a context on the GPU. A first opening may compile for minutes.
_OPEN_S = {"simulated": 0.5, "null": 0.5, "onnxruntime": 1.5, "tensorrt": 4.0, "torch": 12.0}
_USUAL_OPEN_S = 5.0
# A context on one GPU is made after the other; on a CPU, processes share the cores.
_OPEN_EACH_S = 0.4
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Phases:
    """How long the parts of a point take, in s.

    Attributes:
        warm_s: of each engine, at most, before the barrier.
        ramp_s: from the barrier to the window, and after the window, while all work.
        window_s: that is measured.
    """

    warm_s: float = 1.0
    ramp_s: float = 0.3
    window_s: float = 3.0

    @property
    def running_s(self) -> float:
        """From the barrier to the end."""
        return 2 * self.ramp_s + self.window_s


@dataclass(frozen=True, slots=True)
class Crowd(Task):
    """One point of the grid: a task that several share a device for.

    Attributes:
        processes: engines, or batches in flight where the share is "streams".
        share: how they share.
        inflight: batches on the device at once, of each engine.
        phases: how long it takes.
    """

    processes: int = 1
    share: Share = "processes"
    inflight: int = 2
    phases: Phases = Phases()

    @property
    def device(self) -> str:
        """The device that they share."""
        return self.plan.harness.devices[0]

    @property
    def workers(self) -> int:
        """Threads that launch batches and wait for them."""
        return 1 if self.share == "streams" else self.processes

    def requests(self, out: Path, options: dict[str, str | int | float | bool]) -> list[TryRequest]:
        """Return what each process gets.

        Args:
            out: the folder of the point; each process gets one in it.
            options: of the backend, beside those of the plan.
        """
        phases, harness = self.phases, self.harness
        alone = self.share in {"threads", "streams"}
        engines = self.processes if self.share == "threads" else 1
        inflight = self.processes if self.share == "streams" else self.inflight
        batch = self.load.request_batch
        asked = Asked(
            batch, engines, inflight, self.share == "streams",
            phases.warm_s, phases.ramp_s, phases.window_s,
        )  # fmt: skip
        cores = max(1, harness.cores(self.device) // self.workers)
        return [
            TryRequest(
                out_dir=str((out / f"process-{k}").absolute()),
                workload=self.workload,
                backend=harness.backend,
                max_batch_size=batch,
                act=act.MODULE,
                arguments=asdict(asked),
                device=self.device,
                options={**options_of_own(self.plan), **options},
                slots=inflight,
                cores=cores if self.device == CPU else None,
            )
            for k in range(1 if alone else self.processes)
        ]

    def about(self) -> dict[str, str]:
        """See Task."""
        phases = self.phases
        return {
            "Share": "" if "share" in self.point else self.share,
            "Load": "closed: each engine always has its batches in flight",
            "Slots": f"{self.inflight} of an engine that has slots; streams: as many as processes",
            "Number of model instances": "",
            "Workers": "",
            "Queue delay": "",
            "Request Count": f"no fixed count: {phases.window_s:g} s, {phases.ramp_s:g} s after "
            "the common start",
        }

    def usual_s(self) -> float:
        """Return how long it takes if the engine was compiled before."""
        return usual_s(self.harness.backend, self.processes, self.phases)


def usual_s(backend: str, processes: int, phases: Phases) -> float:
    """Return how long a point takes if its engine was compiled before."""
    open_s = _OPEN_S.get(backend, _USUAL_OPEN_S) + _OPEN_EACH_S * processes
    return open_s + phases.warm_s / 2 + phases.running_s + _CLOSE_S


def crowds(
    tasks: Iterable[Task],
    processes: Sequence[int],
    shares: Sequence[Share],
    inflight: int,
    phases: Phases,
) -> list[Crowd]:
    """Return the points: fewest processes first, so that one alone compiles what all then use.

    Args:
        tasks: of a sweep of precisions and batches; each has one device.
        processes: how many share the device.
        shares: in which ways; an axis if there are several.
        inflight: batches on the device at once, of each engine.
        phases: of each point.

    Raises:
        ConfigError: a task has several devices.
    """
    listed = list(tasks)
    for task in listed:
        if len(task.plan.harness.devices) != 1:
            raise ConfigError(
                f"--devices {','.join(task.plan.harness.devices)}: expected the one that is shared."
            )
    found = []
    for share, count, task in product(shares, processes, listed):
        axes = axes_of(share if len(shares) > 1 else None, task.setting, count)
        batch = {k: v for k, v in task.point.items() if k not in task.setting}
        found.append(
            Crowd(
                point={**axes, **batch},
                setting=axes,
                plan=task.plan,
                workload=task.workload,
                load=replace(task.load, concurrency=count),
                processes=count,
                share=share,
                inflight=inflight,
                phases=phases,
            )
        )
    return found


def axes_of(share: Share | None, setting: Mapping[str, Value], processes: int) -> dict[str, Value]:
    """Return the axes of a point beside its batch; `share` is None where it is no axis."""
    named: dict[str, Value] = {} if share is None else {"share": share}
    return {**named, **setting, "processes": processes}
