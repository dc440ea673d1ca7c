"""An engine that hangs on a thread of the test's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["inline", "thread"])
def test_an_engine_that_never_answers_ends_the_run(
    program: Program, tmp_path: Path, kind: str
) -> None:
    """The first batch after warm-up sleeps for a minute; no batch of warm-up does."""
    done = program.run(
        *("run", "-b", "efficientnet-lite0", "-s", "Server", "--backend", "simulated"),
        *("--set", "base_ms=1", "--set", "per_sample_ms=0", "--set", "hang_at_s=0.5"),
        *("--workers", kind, "--devices", "0", "--target-qps", 200, "--min-duration-s", 60),
        *("--out", "out"),
        cwd=tmp_path,
    )

    assert done.code == 1
    assert "no answer after 10 s" in done.err
    assert not (tmp_path / "out" / "summary.json").exists()
    assert (tmp_path / "out" / "mlperf_log_summary.txt.failed").exists()
