"""An engine that hangs: in the middle of a run, and when a finished run closes it."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import WorkerError
from sut.config.settings import WORKER_KINDS, Limits, WorkerKind
from sut.record import loadgen_logs
from sut.run.supervisor import Supervisor
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until
from tests.sut.run import trials

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

SHORT = Limits(hang_s=0.5, worker_hang_s=0.5, close_s=0.3)
# On a busy machine.
LIMIT_S = 30.0
LONG_S = 60.0


@pytest.mark.parametrize("kind", WORKER_KINDS)
def test_an_engine_that_never_answers_ends_the_run(tmp_path: Path, kind: WorkerKind) -> None:
    """The first batch after warm-up sleeps for a minute; no batch of warm-up does."""
    made = trials.request(tmp_path, kind, {"hang_at_s": 0.4}, SHORT, seconds=LONG_S)
    start_s = time.monotonic()

    with pytest.raises(WorkerError, match=r"after 0\.5 s"):
        trials.run(made)

    assert time.monotonic() - start_s < LIMIT_S


@pytest.mark.parametrize("line", ["no JSON", '["done"]', '{"name": "done"}', '{"event": 1}'])
def test_a_test_s_process_that_cannot_be_understood_ends_the_run(tmp_path: Path, line: str) -> None:
    made = trials.request(tmp_path, "inline", {}, SHORT, seconds=LONG_S)
    babbling = replace(made, workload=replace(made.workload, benchmark=line))
    start_s = time.monotonic()

    with (
        pytest.raises(WorkerError, match="not an event"),
        Supervisor(babbling, "tests.sut.run.babbling_trial") as trial,
    ):
        trial.wait_for("engines", lambda: None)

    assert time.monotonic() - start_s < LIMIT_S


@pytest.mark.parametrize("kind", WORKER_KINDS)
def test_an_engine_that_does_not_close_leaves_the_finished_run_valid(
    tmp_path: Path, kind: WorkerKind
) -> None:
    made = trials.request(tmp_path, kind, {"close_s": LONG_S}, SHORT, seconds=0.3)
    start_s = time.monotonic()

    trials.run(made)

    detail = loadgen_logs.read_detail(tmp_path / loadgen_logs.DETAIL_FILE)
    assert detail["result_validity"] == "VALID"
    assert time.monotonic() - start_s < LIMIT_S
    log = (tmp_path / "run.log").read_text("utf-8")
    assert "device 0: the engine" in log
    assert "close" in log


def test_a_signal_while_the_engine_does_not_close_keeps_the_result(
    program: Program, tmp_path: Path
) -> None:
    words = (
        *("run", "-b", "efficientnet-lite0", "-s", "SingleStream", "--backend", "simulated"),
        *("--set", "base_ms=1", "--set", "per_sample_ms=0", "--set", f"close_s={LONG_S}"),
        *("--devices", "0", "--min-duration-s", 0.3, "--min-query-count", 1, "--out", "out"),
    )
    with program.start(*words, cwd=tmp_path) as running:
        wait_until((tmp_path / "out" / "summary.json").exists, "the result is written")

        running.send(signal.SIGINT)
        done = running.finish(LIMIT_S)

    found = folders.summary(tmp_path / "out")
    assert done.code == 130, done.err
    assert found["valid"] is True
    assert found["interrupted"] is None
    assert running.processes() == {}
