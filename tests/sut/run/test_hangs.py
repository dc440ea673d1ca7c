"""An engine that hangs: in the middle of a run, and when a finished run closes it."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from sut.base.errors import WorkerError
from sut.config.settings import WORKER_KINDS, Limits
from sut.record import loadgen_logs
from sut.run.supervisor import Supervisor
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until
from tests.sut.run import trials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue
    from sut.config.settings import WorkerKind
    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

SHORT = Limits(hang_s=0.5, worker_hang_s=0.5, close_s=0.3, open_s=1.0)
# On a busy machine.
LIMIT_S = 30.0
LONG_S = 60.0
AT_ONCE = 3
# What hangs: options of the simulated device, and seconds of the test.
HANGS: Mapping[str, tuple[dict[str, OptionValue], float]] = {
    "batch": ({"hang_at_s": 0.4}, LONG_S),
    "close": ({"close_s": LONG_S}, 0.3),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a test ended.

    Attributes:
        out: its folder.
        error: what `trials.run` raised; None: nothing.
        seconds: from start to end.
    """

    out: Path
    error: WorkerError | None
    seconds: float


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Engines that hang, in a batch or when they are closed, side by side: they sleep."""

    def run(name: str) -> Ended:
        what, kind = name.split()
        out = tmp_path_factory.mktemp("hangs")
        options, seconds = HANGS[what]
        made = trials.request(out, cast("WorkerKind", kind), options, SHORT, seconds=seconds)
        start_s, error = time.monotonic(), None
        try:
            trials.run(made)
        except WorkerError as raised:
            error = raised
        return Ended(out, error, time.monotonic() - start_s)

    names = [f"{what} {kind}" for what in HANGS for kind in WORKER_KINDS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(run, names), strict=True))


@pytest.mark.parametrize("kind", WORKER_KINDS)
def test_an_engine_that_never_answers_ends_the_run(ended: dict[str, Ended], kind: str) -> None:
    """The first batch after warm-up sleeps for a minute; no batch of warm-up does."""
    found = ended[f"batch {kind}"]

    assert "after 0.5 s" in str(found.error)
    assert found.seconds < LIMIT_S


def test_an_engine_that_never_opens_ends_the_run(tmp_path: Path) -> None:
    made = trials.request(tmp_path, "inline", {"open_s": LONG_S}, SHORT, seconds=0.1)

    with pytest.raises(WorkerError, match="the engines do not open"), Supervisor(made) as trial:
        trial.wait_to_open("engines", lambda: None)


def test_a_test_s_process_that_stands_still_ends_the_run(tmp_path: Path) -> None:
    limits = replace(SHORT, stopped_s=0.1)
    made = trials.request(tmp_path, "inline", {}, limits, seconds=LONG_S)

    with Supervisor(made) as trial:
        os.kill(trial.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match=r"stands still .signal SIGSTOP."):
            trial.wait_to_open("engines", lambda: None)

    assert not Path(f"/proc/{trial.pid}").exists()


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
    ended: dict[str, Ended], kind: str
) -> None:
    found = ended[f"close {kind}"]

    assert found.error is None
    assert found.seconds < LIMIT_S
    detail = loadgen_logs.read_detail(found.out / loadgen_logs.DETAIL_FILE)
    assert detail["result_validity"] == "VALID"
    log = (found.out / "run.log").read_text("utf-8")
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
