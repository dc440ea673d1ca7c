"""`sut fit` on a real GPU, with all but 4 GB of its memory taken, so that few batches are tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import EXIT_VALID
from sut.telemetry.nvml import all_facts
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

FACTS, PROBLEM = all_facts()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
    pytest.mark.timeout(550),
]
GB = 10**9


def test_the_edge_is_where_the_gpu_is_full(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    words = ("-b", "resnet50-synthetic", "--backend", "torch", "--devices", 0, "--slots", 1)

    done = run_here(
        "fit", *words, "--set", "compile=none", "--memory-limit", "4GB", "--headroom", "10%",
        "--json", "--out", tmp_path / "out",
    )  # fmt: skip

    assert done.code == EXIT_VALID, done.err
    [row] = json.loads(done.out)["rows"]
    assert row["bound"].startswith(("out of memory", "predicted"))
    assert row["fails_at"] <= row["largest_batch"] * 1.02 + 1
    assert row["largest_batch_with_reserve"] < row["largest_batch"]
    assert 2 * GB < row["needed_bytes"] <= 4.1 * GB
    assert row["weights_bytes"] > 0
    assert row["precision"] == "fp16"
