"""`sut run` in a process of its own, as a user runs it, and what it left behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.environment import ROOT
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.config.settings import TrialRequest
from sut.record.run_folder import REQUEST_FILE, read_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.record.result import Latency, Result

# Enough for a verdict: LoadGen's early stopping at 99 % asks for 459 queries, or 662 with one late.
SERVER_QUERIES = 662


def sut_run(
    benchmark: str, scenario: str, options: Sequence[str], out: Path | None = None
) -> tuple[Result, TrialRequest]:
    """Run one performance test; return its result, and the request that its process got.

    The run folder is `out`, or one that is removed.

    Raises:
        RuntimeError: it ended with neither VALID nor INVALID, with what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = out or Path(folder) / "run"
        words = ["run", "-b", benchmark, "-s", scenario, *options, "--out", str(out)]
        command = [sys.executable, "-m", "sut", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode not in {EXIT_VALID, EXIT_INVALID}:
            raise RuntimeError(
                f"{' '.join(command)} ended with exit code {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        result = read_result(out)
        request = msgspec.json.decode((out / REQUEST_FILE).read_bytes(), type=TrialRequest)
    return result, request


def metric(result: Result) -> float:
    """Return LoadGen's figure of a complete performance run."""
    assert result.metric is not None, "a complete performance run has a metric"
    return result.metric.value


def latency(result: Result) -> Latency:
    """Return the latencies of a complete run, in ns."""
    assert result.latency_ns is not None, "a complete run has latencies"
    return result.latency_ns
