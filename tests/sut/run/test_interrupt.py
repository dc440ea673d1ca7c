"""Ctrl-C, SIGTERM and SIGKILL in the middle of a run: it ends at once, keeps what it measured."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.sut.helpers import folders, own
from tests.sut.helpers.program import Done, Program, Running
from tests.sut.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

# On a busy machine; 2 s are promised on an idle one. What takes longer is killed; the run would
# go on for a minute.
END_S = 20.0
KILL_S = 30.0
BATCHES = 20  # complete before the signal
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@dataclass(frozen=True)
class Case:
    """A run, and the signal in the middle of it."""

    number: signal.Signals
    scenario: str
    words: tuple[object, ...] = ()
    times: int = 1


CASES = {
    "SingleStream, SIGINT": Case(signal.SIGINT, "SingleStream"),
    "MultiStream, SIGTERM": Case(signal.SIGTERM, "MultiStream"),
    "Server, SIGINT": Case(signal.SIGINT, "Server", ("--target-qps", 500)),
    "Server, SIGTERM": Case(signal.SIGTERM, "Server", ("--target-qps", 500)),
    "Offline, SIGINT twice": Case(signal.SIGINT, "Offline", ("--target-qps", 500), times=2),
    "C9 Server, SIGHUP": Case(signal.SIGHUP, "Server", ("--target-qps", 500)),
    "Offline, SIGTERM, accuracy": Case(signal.SIGTERM, "Offline", ("--mode", "accuracy")),
}


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        done: the command.
        end_s: from the signal to the end.
        left: its processes that were still alive then.
    """

    done: Done
    end_s: float
    left: dict[int, str]


def command(scenario: str, *words: object) -> tuple[object, ...]:
    """Return a run with enough to do for a minute."""
    return (
        *("run", "-b", "efficientnet-lite0", "-s", scenario, "--backend", "null", "--out", "out"),
        *("--set", "delay_us=2000", "--min-duration-s", 60, *words),
    )


def interrupt(running: Running, when: Callable[[], bool], what: str, case: Case) -> Outcome:
    """Wait for the moment, then send the signal."""
    wait_until(when, what)
    for _ in range(case.times):
        running.send(case.number)
    end_s = -running.age_s
    done = running.finish(KILL_S)
    return Outcome(done, end_s + done.seconds, running.processes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each case has a folder."""
    return tmp_path_factory.mktemp("interrupts")


@pytest.fixture(scope="module")
def interrupted(program: Program, folder: Path) -> dict[str, Outcome]:
    """Every case, three at once: their engines sleep."""

    def run(name: str) -> Outcome:
        case, cwd = CASES[name], folder / name
        cwd.mkdir()
        # The accuracy run would be over at once: it has as many samples as the benchmark.
        slow = ("--set", "delay_us=200000") if "accuracy" in name else ()
        needed = 1 if slow else BATCHES
        with program.start(*command(case.scenario, *case.words, *slow), cwd=cwd) as running:
            return interrupt(
                running,
                lambda: folders.batches_so_far(cwd / "out") >= needed,
                "batches are complete",
                case,
            )

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(CASES, pool.map(run, CASES), strict=True))


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_an_interrupted_run_ends_at_once_with_the_signal_s_exit_code(
    interrupted: dict[str, Outcome], name: str
) -> None:
    outcome = interrupted[name]

    assert outcome.done.code == CODES[CASES[name].number], outcome.done.err
    assert outcome.end_s < END_S


@each_case
def test_no_process_outlives_an_interrupted_run(interrupted: dict[str, Outcome], name: str) -> None:
    assert interrupted[name].left == {}


@each_case
def test_an_interrupted_run_says_so(interrupted: dict[str, Outcome], name: str) -> None:
    done, number = interrupted[name].done, CASES[name].number

    assert f"interrupted by {number.name}" in done.err
    assert "Traceback" not in done.err
    assert "INTERRUPTED" in done.out


@each_case
def test_an_interrupted_run_is_kept_but_not_valid(
    interrupted: dict[str, Outcome], folder: Path, name: str
) -> None:
    number, out = CASES[name].number, folder / name / "out"
    found = folders.summary(out)

    assert interrupted[name].done.code == CODES[number]
    assert (found["interrupted"], found["valid"], found["metric"]) == (number.name, False, None)
    assert number.name in found["reasons"][0]
    assert {"config.yaml", "environment.json", "batches.npz"} <= folders.contents(out)
    assert not (out / "batches.trace").exists()


@each_case
def test_an_interrupted_run_keeps_the_latencies_so_far(
    interrupted: dict[str, Outcome], folder: Path, name: str
) -> None:
    found, trace = folders.summary(folder / name / "out"), folders.batches(folder / name / "out")

    assert interrupted[name].done.code == CODES[CASES[name].number]
    assert found["samples"] == trace["samples"].sum() > 0
    assert found["duration_s"] > 0
    latencies = found["latency_ns"]
    assert 0 < latencies["p50"] <= latencies["p90"] <= latencies["p99"] <= latencies["p999"]
    assert latencies["mean"] > 0
    assert found["parts_ns"]["compute"]["mean"] >= 2e6


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("moment", ["at the start", "while modules load", "in the command"])
def test_c9_a_signal_in_the_first_moments_is_one_line(
    program: Program, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    with program.start(*command("Offline"), cwd=tmp_path) as running:
        is_now = {
            "at the start": lambda: running.catches(signal.SIGTERM),
            "while modules load": lambda: running.has_mapped("_datetime"),
            "in the command": (tmp_path / "out").exists,
        }[moment]
        outcome = interrupt(running, is_now, moment, Case(number, "Offline"))

    assert outcome.done.code == CODES[number], outcome.done.err
    assert outcome.end_s < END_S
    assert outcome.left == {}
    assert outcome.done.err.splitlines()[-1].startswith(f"sut: interrupted by {number.name}")
    assert "Traceback" not in outcome.done.err


def test_c9_nohup_outlives_its_terminal(program: Program, tmp_path: Path) -> None:
    words = command("SingleStream", "--min-duration-s", 1, "--min-query-count", 64)
    with program.start(*words, cwd=tmp_path, before=("nohup",)) as running:
        out = tmp_path / "out"
        wait_until(lambda: folders.batches_so_far(out) >= BATCHES, "batches are complete")

        running.send(signal.SIGHUP)
        done = running.finish(KILL_S)

    assert done.code == 0, done.err
    assert folders.summary(out)["valid"] is True


@pytest.mark.parametrize("number", CODES)
def test_c9_a_signal_while_a_model_is_made_is_one_line(
    program: Program, tmp_path: Path, number: signal.Signals
) -> None:
    made = program.root / ".cache" / "models"
    words = ("quantize", "-b", "resnet50-synthetic", "--precision", "fp16")

    def is_made() -> bool:
        return any(made.glob(".tmp-*"))

    with program.start(*words, cwd=tmp_path) as running:
        outcome = interrupt(running, is_made, "a model is being made", Case(number, "Offline"))

    assert outcome.done.code == CODES[number], outcome.done.err
    assert outcome.done.err.splitlines()[-1] == f"sut: interrupted by {number.name}"
    assert "Traceback" not in outcome.done.err
    assert not any(made.glob(".tmp-*"))


def test_a_signal_before_the_engines_are_open_leaves_no_traceback(
    program: Program, tmp_path: Path
) -> None:
    case = Case(signal.SIGINT, "Offline")
    with program.start(*command(case.scenario), cwd=tmp_path) as running:
        log = tmp_path / "out" / "run.log"

        outcome = interrupt(running, log.exists, "the test's process is started", case)

    assert outcome.done.code == 130, outcome.done.err
    assert outcome.end_s < END_S
    assert outcome.left == {}
    assert "Traceback" not in outcome.done.err


def test_a_signal_while_samples_are_prepared_ends_at_once(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.zeros((1500, 1500, 3), np.uint8)).save(images / "0.png")
    for k in range(1, 800):
        os.link(images / "0.png", images / f"{k}.png")
    shutil.copy(own_yaml.with_name(own.MODEL), tmp_path)
    resize = [{"step": "resize", "height": own.SIZE, "width": own.SIZE}]
    benchmark = own.write_yaml(
        tmp_path / "large.yaml",
        name="large",
        preprocess=resize,
        dataset={"kind": "folder", "folder": "images"},
    )
    case = Case(signal.SIGINT, "Offline")
    cache = program.root / ".cache" / "samples"
    with program.start("run", "-b", benchmark, "-s", "Offline", cwd=tmp_path) as running:
        outcome = interrupt(
            running, lambda: any(cache.glob(".tmp-*")), "samples are being made", case
        )

    assert outcome.done.code == 130, outcome.done.err
    assert outcome.end_s < END_S
    assert outcome.left == {}
    assert not any(cache.glob(".tmp-*"))


def test_what_was_done_before_the_signal_stays_in_results_json(
    program: Program, tmp_path: Path
) -> None:
    case = Case(signal.SIGINT, "SingleStream,Server")
    words = ("--min-duration-s", 0.1, "--min-query-count", 100_000)
    # SingleStream answers at once; Server keeps its schedule.
    fast = ("--set", "delay_us=0", "--user-conf", "my.conf")
    (tmp_path / "my.conf").write_text("*.Server.target_qps = 500\n", "utf-8")
    with program.start(*command(case.scenario, *words, *fast), cwd=tmp_path) as running:
        server = tmp_path / "out" / "Server"
        outcome = interrupt(
            running, lambda: folders.batches_so_far(server) >= BATCHES, "Server runs", case
        )

    results = folders.results(tmp_path / "out")
    assert outcome.done.code == 130, outcome.done.err
    assert [(result["scenario"], result["valid"]) for result in results] == [("SingleStream", True)]
    assert folders.summary(server)["interrupted"] == "SIGINT"
    assert outcome.left == {}


def test_a_test_ends_by_itself_when_the_command_is_killed(program: Program, tmp_path: Path) -> None:
    words = command("Server", "--target-qps", 500)
    with program.start(*words, cwd=tmp_path) as running:
        wait_until(
            lambda: folders.batches_so_far(tmp_path / "out") >= BATCHES, "batches are complete"
        )
        before = running.processes()

        running.send(signal.SIGKILL)
        running.finish()
        end_s = wait_until(lambda: not running.processes(), "no process is left")

    assert len(before) == len(("the command", "the test"))
    assert end_s < END_S
