"""The processes of a try: whatever becomes of one, the parent gets a typed outcome."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

import pytest

from backends.base import TensorSpec
from data.tasks.other import Raw
from sut.base.signals import Stopped
from sut.base.steps import heard_by
from sut.config.workload import Workload
from sut.record.run_folder import LOG_FILE
from sut.run.supervisor import EndedSilently
from sut.sweep.tries.attempt import TryRequest
from sut.sweep.tries.group import Times, TryGroup
from sut.sweep.tries.limit import GroupLimit, MachineLimit, WatchedLimit, limit_of
from sut.sweep.tries.outcome import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sut.sweep.tries.limit import Limit

MB = 1_000_000
WORKLOAD = Workload(
    benchmark="none",
    loadgen_model="none",
    model=None,
    inputs=(TensorSpec("x", (4,), "float32"),),
    output_name=None,
    postprocess=Raw(),
    performance_sample_count=1,
)


def requests(folder: Path, *kept_bytes: int) -> list[TryRequest]:
    found = []
    for number, size in enumerate(kept_bytes):
        out = folder / str(number)
        out.mkdir(parents=True)
        (out / LOG_FILE).touch()
        act = "tests.sut.sweep.tries.acts"
        found.append(TryRequest(str(out), WORKLOAD, "null", 4, act, {"bytes": size}))
    return found


class Process:
    """A process of a try, played: its events in order, then how it ends."""

    pid = 1

    def __init__(self, *events: dict[str, object], end: int | None = None) -> None:
        self._events, self._end = list(events), end
        self._seen: dict[str, dict[str, object]] = {}
        self.sent: list[object] = []
        self.stopped: str | None = None
        self.interrupted: signal.Signals | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def wait_for(self, event: str, each: Callable[[], str | None], step_s: float) -> bool:
        while event not in self._seen:
            self.stopped = each()
            if self.stopped is not None or self.interrupted is not None:
                return False
            if self._events:
                told = self._events.pop(0)
                self._seen[str(told["event"])] = told
            elif self._end is not None:
                raise EndedSilently("no result", self._end)
        return True

    def event(self, name: str) -> dict[str, object]:
        return self._seen.get(name, {})

    def send(self, samples: object) -> None:
        self.sent.append(samples)


READY: dict[str, object] = {"event": "ready"}
DONE: dict[str, object] = {"event": "done", "kind": "ok", "figures": {"batch": 4}}
FULL: dict[str, object] = {"event": "done", "kind": "out of memory", "message": "device 0: full"}


class Full(MachineLimit):
    """A machine on which the kernel just killed a process."""

    def killed(self) -> bool:
        return True


def played(
    folder: Path,
    *processes: Process,
    limit: Limit | None = None,
    times: Times | None = None,
    gone: str | None = None,
) -> list[Outcome]:
    left = iter(processes)
    group = TryGroup(
        requests(folder, *[0] * len(processes)),
        limit or MachineLimit(),
        times,
        lambda device: gone,
        launch=lambda request, before: next(left),
    )
    with group:
        group.start()
        return group.outcomes()


def test_real_processes_start_together_and_answer(tmp_path: Path) -> None:
    with TryGroup(requests(tmp_path, 1, 2), MachineLimit()) as group:
        assert group.start()
        first, second = group.outcomes()
    assert first.kind is second.kind is Kind.OK
    assert (first.figures["kept"], second.figures["kept"]) == (1, 2)
    assert first.facts["backend"] == "null"
    assert first.figures["start_ns"] == second.figures["start_ns"]
    assert min(first.figures["late_ns"], second.figures["late_ns"]) >= 0


def test_a_real_process_above_the_limit_is_ended_by_whoever_keeps_it(tmp_path: Path) -> None:
    limit = limit_of(150 * MB)
    try:
        with TryGroup(requests(tmp_path, 300 * MB), limit) as group:
            group.start()
            [found] = group.outcomes()
    finally:
        limit.close()
    assert found.kind is Kind.OVER_LIMIT, found.message
    assert ("kernel" in found.message) == isinstance(limit, GroupLimit)


def test_full_memory_stops_the_others(tmp_path: Path) -> None:
    first, second = played(tmp_path, Process(READY, FULL), Process(READY))
    assert (first.kind, second.kind) == (Kind.OUT_OF_MEMORY, Kind.STOPPED)
    assert first.is_full


def test_one_that_ends_before_the_barrier_lets_nobody_wait(tmp_path: Path) -> None:
    waiting = Process(READY)
    first, second = played(tmp_path, Process(FULL, end=1), waiting)
    assert (first.kind, second.kind) == (Kind.OUT_OF_MEMORY, Kind.STOPPED)
    assert waiting.sent == []


def test_killed_by_the_kernel(tmp_path: Path) -> None:
    [found] = played(tmp_path, Process(READY, end=-signal.SIGKILL), limit=Full())
    assert found.kind is Kind.OVER_LIMIT
    assert "killed by the kernel" in found.message


def test_a_signal_has_its_name_and_the_last_words(tmp_path: Path) -> None:
    process = Process(READY, end=-signal.SIGSEGV)
    [made] = requests(tmp_path, 0)
    (tmp_path / "0" / LOG_FILE).write_text("terminate called\n")
    with TryGroup([made], Full(), launch=lambda request, before: process) as group:
        group.start()
        [found] = group.outcomes()
    assert found.kind is Kind.SIGNALLED
    assert "device cpu: ended by signal SIGSEGV: terminate called" in found.message


def test_a_hung_try_is_ended_in_time(tmp_path: Path) -> None:
    [found] = played(tmp_path, Process(READY), times=Times(run_s=0.01))
    assert found.kind is Kind.HUNG
    assert "while running" in found.message
    [found] = played(tmp_path / "2", Process(), times=Times(open_s=0.01))
    assert "while opening" in found.message


@pytest.mark.parametrize(
    ("processes", "step"),
    [(1, "opening: compiling 3 of 6"), (2, "opening: process 1 of 2: compiling 3 of 6")],
)
def test_the_steps_of_an_engine_that_opens_are_heard(
    tmp_path: Path, processes: int, step: str
) -> None:
    opening: dict[str, object] = {"event": "opening", "step": "compiling 3 of 6"}
    steps: list[str] = []
    with heard_by(steps.append):
        played(tmp_path, *[Process(opening, READY, DONE) for _ in range(processes)])

    assert list(dict.fromkeys(steps))[:2] == ["opening", step]
    assert steps[-1] == "running"


def test_a_device_that_vanished_explains_a_hang(tmp_path: Path) -> None:
    gone = "NVML knows no GPU 0"
    [found] = played(tmp_path, Process(READY), times=Times(run_s=0.01), gone=gone)
    assert found.kind is Kind.VANISHED
    assert found.message.startswith(f"device cpu: {gone}; no answer after")


def test_memory_that_is_watched(tmp_path: Path) -> None:
    [found] = played(tmp_path, Process(READY), limit=WatchedLimit(1))
    assert found.kind is Kind.OVER_LIMIT
    assert "above the limit of 0.0 MB" in found.message


def test_a_signal_to_the_command_ends_all(tmp_path: Path) -> None:
    process = Process(READY)
    process.interrupted = signal.SIGINT
    with pytest.raises(Stopped):
        played(tmp_path, process)
