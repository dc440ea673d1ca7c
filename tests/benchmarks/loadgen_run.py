"""`sut run` in a process of its own, as a user runs it, and what it left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.environment import ROOT
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.config.settings import TrialRequest
from sut.record.run_folder import REQUEST_FILE, SUMMARY_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    Summary = dict[str, object]

# Enough for a verdict: LoadGen's early stopping at 99 % asks for 459 queries, or 662 with one late.
SERVER_QUERIES = 662


def sut_run(
    benchmark: str, scenario: str, options: Sequence[str], out: Path | None = None
) -> tuple[Summary, TrialRequest]:
    """Run one performance test; return its summary.json, and the request that its process got.

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
        summary: Summary = json.loads((out / SUMMARY_FILE).read_bytes())
        request = msgspec.json.decode((out / REQUEST_FILE).read_bytes(), type=TrialRequest)
    return summary, request
