"""The searches of a command: what is kept, what is not tried again, and what ends them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from backends.base import TensorSpec
from data.tasks.other import Raw
from sut.base.errors import ConfigError
from sut.config.settings import HarnessSettings
from sut.config.workload import Workload
from sut.record.journal import JournalFile
from sut.sweep.fit.memory import HostMemory
from sut.sweep.fit.session import FitSession, Wanted
from sut.sweep.fit.trier import Target, Tried
from sut.sweep.tries.outcome import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from sut.sweep.fit.result import FitRow

MB = 1_000_000
LIMIT = 1_000 * MB
EACH, SAMPLE = 150 * MB, 7 * MB
WORKLOAD = Workload(
    benchmark="none",
    loadgen_model="none",
    model=None,
    inputs=(TensorSpec("x", (4,), "float32"),),
    output_name=None,
    postprocess=Raw(),
    performance_sample_count=1,
)
HARNESS = HarnessSettings(
    backend="onnxruntime",
    workers="thread",
    devices=("cpu",),
    instances=1,
    max_batch_size=1,
    max_queue_delay_us=0,
    slots=1,
)


def target(processes: int = 1, **point: str) -> Target:
    harness = replace(HARNESS, instances=processes)
    return Target({**point, "instances": processes}, WORKLOAD, harness, 20 * MB)


class Unsteady:
    """A machine on which one batch fits only the first time."""

    def __init__(self, batch: int) -> None:
        self._machine, self._batch = Machine(), batch

    def __call__(self, target: Target, batch: int, reserve: float) -> Tried:
        tried = self._machine(target, batch, reserve)
        if batch == self._batch and [b for _, b, _ in self._machine.tried].count(batch) > 1:
            return msgspec.structs.replace(
                tried, kind=Kind.OVER_LIMIT, message="killed", needed_bytes=None
            )
        return tried


class Machine:
    """A machine whose memory is known; some batches do something else than fit or not."""

    def __init__(self, odd: dict[int, Kind] | None = None, *, leak_bytes: int = 0) -> None:
        self.tried: list[tuple[int, int, float]] = []
        self._odd = odd or {}
        self._leak_bytes = leak_bytes

    def __call__(self, target: Target, batch: int, reserve: float) -> Tried:
        self.tried.append((target.processes, batch, reserve))
        each = EACH + SAMPLE * batch
        needed = target.processes * each
        fits = needed <= LIMIT * (1 - reserve)
        kind = self._odd.get(batch, Kind.OK if fits else Kind.OUT_OF_MEMORY)
        tried = Tried(
            point=dict(target.point), batch=batch, reserve=reserve, kind=kind, seconds=1.0,
            message="" if kind is Kind.OK else f"device cpu: {kind} at {batch}",
        )  # fmt: skip
        if kind is not Kind.OK:
            return tried
        figures: dict[str, Any] = {
            "private_peak_bytes": each,
            "opening": {"peak_bytes": EACH - 10 * MB},
            "io_bytes": 16,
            "samples_per_s": 100.0,
            "device": {},
            "grown_bytes_per_batch": self._leak_bytes,
        }
        return Tried(
            point=dict(target.point), batch=batch, reserve=reserve, kind=kind, seconds=1.0,
            needed_bytes=needed, figures=(figures,) * target.processes,
            facts={"precision": "fp32", "simulated": "False"},
        )  # fmt: skip


HANGS_FROM_7 = dict.fromkeys(range(7, 200), Kind.HUNG)


def edge(processes: int = 1, reserve: float = 0.0) -> int:
    return int((LIMIT * (1 - reserve) / processes - EACH) // SAMPLE)


def session(folder: Path, machine: Machine | Unsteady, wanted: Wanted | None = None) -> FitSession:
    folder.mkdir(exist_ok=True)
    made = FitSession(
        JournalFile(folder, {"benchmark": "x"}, "search"),
        HostMemory(LIMIT),
        machine,
        wanted or Wanted(tolerance=0),
        lambda line: None,
    )
    made.open()
    return made


def rows(
    folder: Path, machine: Machine | Unsteady, *targets: Target, wanted: Wanted | None = None
) -> list[FitRow]:
    return session(folder, machine, wanted).run(targets, lambda found: None)


def test_the_answer_is_the_edge_and_says_why(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Machine(), target())
    assert row.largest_batch == edge()
    assert row.fails_at == edge() + 1
    assert row.bound.startswith("out of memory: device cpu")
    assert row.needed_bytes == EACH + SAMPLE * edge()
    assert row.context_bytes == pytest.approx(EACH - 20 * MB, rel=1e-3)
    assert row.precision == "fp32"
    assert row.marks == ()


def test_headroom_is_tried_with_less_memory(tmp_path: Path) -> None:
    machine = Machine()
    [row] = rows(tmp_path, machine, target(), wanted=Wanted(reserve=0.1, tolerance=0))
    assert (row.largest_batch, row.largest_batch_with_reserve) == (edge(), edge(reserve=0.1))
    assert (1, edge(reserve=0.1), 0.1) in machine.tried


def test_what_one_process_showed_spares_tries_of_two(tmp_path: Path) -> None:
    machine = Machine()
    one, two = rows(tmp_path, machine, target(1), target(2))
    assert (one.largest_batch, two.largest_batch) == (edge(1), edge(2))
    assert two.tries < one.tries
    of_two = [batch for processes, batch, _ in machine.tried if processes == 2]
    assert of_two[0] == edge(2)


def test_processes_that_cannot_fit_are_refused_without_a_try(tmp_path: Path) -> None:
    machine = Machine()
    _, many = rows(tmp_path, machine, target(1), target(8))
    assert many.largest_batch == 0
    assert "predicted" in many.bound
    assert "--force" in many.bound
    assert all(processes == 1 for processes, _, _ in machine.tried)
    forced = rows(tmp_path / "forced", Machine(), target(8), wanted=Wanted(force=True))
    assert forced[0].bound.startswith("out of memory")


def test_a_command_that_continues_tries_nothing_twice(tmp_path: Path) -> None:
    first = rows(tmp_path, Machine(), target())
    again = Machine()
    assert rows(tmp_path, again, target()) == first
    assert again.tried == []


def test_a_search_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    class CutShort(Machine):
        def __call__(self, target: Target, batch: int, reserve: float) -> Tried:
            if len(self.tried) == 4:
                raise KeyboardInterrupt
            return super().__call__(target, batch, reserve)

    cut, rest, whole = CutShort(), Machine(), Machine()
    with pytest.raises(KeyboardInterrupt):
        rows(tmp_path, cut, target())
    [row] = rows(tmp_path, rest, target())
    rows(tmp_path / "whole", whole, target())
    assert row.largest_batch == edge()
    assert cut.tried + rest.tried == whole.tried


def test_a_hung_batch_counts_as_one_that_does_not_fit_and_is_named(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Machine(HANGS_FROM_7), target())
    assert (row.largest_batch, row.fails_at) == (6, 7)
    assert row.bound.startswith("hung")
    assert [mark for mark in row.marks if mark.startswith("batch 7: hung")]


def test_what_hung_is_tried_again_by_the_next_command(tmp_path: Path) -> None:
    rows(tmp_path, Machine(HANGS_FROM_7), target())
    [row] = rows(tmp_path, Machine(), target())
    assert row.largest_batch == edge()


def test_a_fault_at_a_batch_of_one_is_no_answer(tmp_path: Path) -> None:
    one, other = rows(
        tmp_path, Machine({1: Kind.FAILED}), target(resolution="1x1"), target(resolution="2x2")
    )
    assert one.largest_batch is None
    assert one.problem == "device cpu: failed at 1"
    assert other.problem is not None, "the next place is tried all the same"


def test_one_sample_that_does_not_fit_is_an_answer(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Machine({1: Kind.OUT_OF_MEMORY}), target())
    assert (row.largest_batch, row.problem) == (0, None)


def test_a_model_for_one_sample_is_not_bounded_by_memory(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Machine({2: Kind.BATCH_REFUSED}), target())
    assert row.largest_batch == 1
    assert row.bound.startswith("batch refused")


def test_a_device_that_vanishes_ends_all_with_one_line_and_keeps_the_rest(tmp_path: Path) -> None:
    machine = Machine({32: Kind.VANISHED})
    made = session(tmp_path, machine)
    kept: list[int] = []
    one, other = made.run(
        [target(resolution="1x1"), target(resolution="2x2")], lambda found: kept.append(len(found))
    )
    assert "the device vanished" in str(one.problem)
    assert str(other.problem).startswith("not tried: the device vanished")
    assert kept == [1, 2]
    before = list(machine.tried)
    again = Machine()
    [row] = rows(tmp_path, again, target(resolution="1x1"))
    assert row.largest_batch == edge()
    assert not {batch for _, batch, _ in before if batch != 32} & {b for _, b, _ in again.tried}


def test_memory_that_grows_from_batch_to_batch_is_marked(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Machine(leak_bytes=20 * MB), target())
    assert "memory still grows by 20.0 MB a batch" in row.marks[0]


def test_the_journal_of_another_command_is_refused(tmp_path: Path) -> None:
    session(tmp_path, Machine())
    other = JournalFile(tmp_path, {"benchmark": "y"}, "search")
    with pytest.raises(ConfigError, match="another benchmark"):
        FitSession(other, HostMemory(LIMIT), Machine(), Wanted(), print).open()


def test_the_answer_is_tried_twice_and_what_fits_only_at_times_does_not_fit(tmp_path: Path) -> None:
    machine = Machine()
    rows(tmp_path / "steady", machine, target())
    assert [batch for _, batch, _ in machine.tried].count(edge()) == 2
    [row] = rows(tmp_path / "unsteady", Unsteady(edge()), target())
    assert (row.largest_batch, row.fails_at) == (edge() - 1, edge())
    assert row.bound.startswith("over the memory limit")
    [again] = rows(tmp_path / "unsteady", Machine(), target())
    assert again.largest_batch == edge() - 1
