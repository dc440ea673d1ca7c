"""Forked tries on a real GPU: they work, and find the memory that new processes find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import EXIT_VALID
from sut.config.arguments import Arguments
from sut.record.table import decode
from sut.sweep.fit.memory import GpuMemory
from sut.sweep.fit.planner import Axes, Planner
from sut.sweep.fit.trier import ACT, Trier
from sut.sweep.tries.attempt import PROCESS
from sut.sweep.tries.group import Times, supervised
from sut.sweep.tries.warm import WarmStart, imports_of
from sut.telemetry.gpu_memory import free_bytes, is_gone
from sut.telemetry.nvml import all_facts
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

_, PROBLEM = all_facts()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
    pytest.mark.timeout(300),
]
OPTIONS = {"compile": "none"}
# 7.6 GB: beside that, what contexts differ by from process to process is nothing.
BATCH, WITHIN = 1024, 0.02


def test_a_forked_try_finds_the_memory_of_one_that_starts_anew(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    arguments = Arguments(
        "resnet50-synthetic", "Offline", backend="torch", devices=("0",), slots=1,
        backend_options=OPTIONS,
    )  # fmt: skip
    [target] = Planner(arguments, Axes()).targets()
    memory, said = GpuMemory("0", free_bytes), list[str]()

    with WarmStart(imports_of("torch", "0", OPTIONS, [ACT]), said.append) as warm:
        tried = {}
        for how, launch in (("anew", supervised), ("forked", warm.launch)):
            (tmp_path / how).mkdir()
            trier = Trier(tmp_path / how, memory, Times(), is_gone, launch)
            tried[how] = trier(target, BATCH, 0.0)

    assert said == []
    for how, one in tried.items():
        assert one.fits, one.message
        assert one.facts[PROCESS] == how
    anew, forked = tried["anew"].needed_bytes, tried["forked"].needed_bytes
    assert anew is not None
    assert forked == pytest.approx(anew, rel=WITHIN)
    assert tried["forked"].figures[0]["device"]["weights"] > 0


def test_processes_that_share_a_gpu_are_forked(tmp_path: Path) -> None:
    pytest.importorskip("torch")

    done = run_here(
        "concurrency", "-b", "resnet50-synthetic", "--backend", "torch", "--devices", 0,
        "--set", "compile=none", "--processes", 2, "--batches", 16, "--seconds", 1,
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert done.code == EXIT_VALID, done.err
    table = decode((tmp_path / "out/table.json").read_bytes(), "table.json")
    assert table.configuration["Start of a process"] == "forked"
    [row] = table.rows
    assert row.problem is None
    assert row.figures["fairness"] > 0.9
    assert abs(row.figures["parts_off"]) < WITHIN
