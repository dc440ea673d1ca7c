"""`sut devices` on a real GPU: its rows stand beside those of the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import EXIT_VALID
from sut.record.table import decode
from sut.telemetry.nvml import all_facts
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

_, PROBLEM = all_facts()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gpu_and_the_cpu_in_one_table(own_yaml: Path, tmp_path: Path) -> None:
    what = ("--devices", "cpu,0", "--precision", "fp32,fp16", "--batches", "4", "--repeats", 1)
    done = run_here("devices", "-b", own_yaml, *what, "--out", tmp_path / "out")

    assert done.code == EXIT_VALID, done.out + done.err
    table = decode((tmp_path / "out" / "table.json").read_bytes(), "table.json")
    rows = {(row.point["device"], row.point["precision"]): row for row in table.rows}
    gpu = rows["0", "fp16"]
    assert gpu.problem is None
    assert gpu.figures["flops_share"] == 1.0
    assert 0 < gpu.figures["compute_p50_ns"] < gpu.figures["latency_p50_ns"]
    assert gpu.figures["enqueue_p50_ns"] > 0
    assert gpu.figures["memory_bytes"] > 0
    assert gpu.figures["accuracy"] == rows["cpu", "fp32"].figures["accuracy"]
    assert "device 0 driver" in table.environment
