"""`sut concurrency` on a real GPU: two precisions, one and two processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import EXIT_VALID
from sut.record.table import decode
from sut.telemetry.nvml import all_facts
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

FACTS, PROBLEM = all_facts()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
    pytest.mark.timeout(500),
]
HOPPER = 9.0


def test_processes_share_a_gpu_with_power_memory_and_use(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    words = ("-b", "efficientnet-lite0", "--backend", "torch", "--devices", 0)
    axes = ("--processes", "1,2", "--batches", 16, "--precision", "fp16,fp32")

    done = run_here(
        "concurrency", *words, *axes, "--seconds", 1, "--open-s", 120, "--out", tmp_path / "out"
    )

    assert done.code == EXIT_VALID, done.err
    rows = decode((tmp_path / "out/table.json").read_bytes(), "table.json").rows
    assert len(rows) == 4
    for row in rows:
        assert abs(row.figures["parts_off"]) < 0.02
        assert row.figures["fairness"] > 0.95
        assert {"power_w", "energy_above_idle_j_per_sample", "memory_bytes"} <= row.figures.keys()
        assert row.figures["wake_up_ns"] > 0
        assert ("sm_percent" in row.figures) or float(FACTS[0].compute_capability or 0) < HOPPER
    alone, two = rows[0].figures, rows[2].figures
    assert two["memory_bytes"] > alone["memory_bytes"]
    assert two["samples_per_s"] > 0.8 * alone["samples_per_s"]
