"""What a run folder holds, read as a script of a user reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from sut.record.trace_reader import TraceReader

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def summary(folder: Path) -> dict[str, Any]:
    """Return summary.json."""
    return dict(json.loads((folder / "summary.json").read_text("utf-8")))


def results(folder: Path) -> list[dict[str, Any]]:
    """Return the summaries in results.json, which several scenarios leave."""
    return list(json.loads((folder / "results.json").read_text("utf-8"))["results"])


def config(folder: Path) -> dict[str, Any]:
    """Return config.yaml."""
    return dict(yaml.safe_load((folder / "config.yaml").read_text("utf-8")))


def request(folder: Path) -> dict[str, Any]:
    """Return request.json: what the test's process received."""
    found: dict[str, Any] = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return found


def batches(folder: Path) -> dict[str, NDArray[np.int64]]:
    """Return the arrays of batches.npz."""
    with np.load(folder / "batches.npz", allow_pickle=False) as file:
        return dict(file)


def answered(folder: Path) -> list[tuple[int, bytes]]:
    """Return (data set index, record) of mlperf_log_accuracy.json, in the log's order."""
    log = json.loads((folder / "mlperf_log_accuracy.json").read_text("utf-8"))
    return [(entry["qsl_idx"], bytes.fromhex(entry["data"])) for entry in log]


def batches_so_far(folder: Path) -> int:
    """Return how many batches of a test that runs are complete."""
    trace = folder / "batches.trace"
    if not trace.exists() or not trace.stat().st_size:
        return 0
    return len(TraceReader(trace).new_batches())


def contents(folder: Path) -> set[str]:
    """Return the paths of all files and folders below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
