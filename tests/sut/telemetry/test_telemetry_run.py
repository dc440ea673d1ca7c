"""Telemetry through `sut run`, with simulated devices: what the run folder and the console say."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sut.helpers import folders
from tests.sut.helpers.program import Done, Program
from tests.sut.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

IDLE_W, POWER_W, SECONDS = 10.0, 70.0, 1.5
MODULE = "sut.telemetry.sampler"


def words(yaml: Path, out: Path, seconds: float, *more: object) -> tuple[object, ...]:
    """A device that is busy all the time: Offline, batches of 16 in 8 ms."""
    return (
        *("run", "-b", yaml, "-s", "Offline", "--backend", "simulated", "--devices", "0,1"),
        *("--workers", "thread", "--max-batch-size", 16, "--set", "per_sample_ms=0.5"),
        *("--min-duration-s", seconds, "--out", out, *more),
    )  # fmt: skip


POWER = ("--set", f"power_w={POWER_W}", "--set", f"idle_w={IDLE_W}", "--set", "power_w@1=40")


@dataclass(frozen=True)
class Run:
    """One command and its folder."""

    done: Done
    out: Path

    @property
    def summary(self) -> dict[str, Any]:
        return folders.summary(self.out)

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "telemetry.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(program: Program, own_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("telemetry") / "out"
    return Run(program.run(*words(own_yaml, out, SECONDS, *POWER)), out)


def test_readings_come_ten_times_a_second_from_before_the_start_to_the_end(run: Run) -> None:
    assert (run.done.code, run.done.err) == (0, "")
    times_s = [float(row["time_s"]) for row in run.rows() if row["device"] == "0"]

    assert times_s == sorted(times_s)
    assert times_s[0] < 0 < run.summary["duration_s"] <= times_s[-1]
    during = sum(0 <= at <= run.summary["duration_s"] for at in times_s)
    # A busy machine may lose some; none comes twice.
    assert 4 * SECONDS <= during <= 10 * run.summary["duration_s"] + 1


def test_the_devices_idle_before_the_test_and_draw_their_power_in_it(run: Run) -> None:
    device = run.summary["device_telemetry"]["devices"]["0"]

    assert device["idle_power_w"] == IDLE_W
    assert POWER_W * 0.8 < device["average_power_w"] <= POWER_W
    assert run.summary["device_telemetry"]["devices"]["1"]["average_power_w"] <= 40


def test_the_energy_of_a_sample_is_the_devices_together(run: Run) -> None:
    found, samples = run.summary["device_telemetry"], run.summary["samples"]
    devices = found["devices"].values()

    assert found["source"] == "simulated"
    assert found["energy_j"] == pytest.approx(sum(d["energy_j"] for d in devices))
    assert found["energy_per_sample_j"] == pytest.approx(found["energy_j"] / samples)
    idle_j = 2 * IDLE_W * run.summary["duration_s"]
    assert found["energy_per_sample_above_idle_j"] == pytest.approx(
        (found["energy_j"] - idle_j) / samples
    )


def test_the_console_says_power_and_energy_and_that_they_are_simulated(run: Run) -> None:
    (line,) = (line for line in run.done.out.splitlines() if " J a sample" in line)

    assert line.startswith("Offline: ")
    assert " W on average, " in line
    assert line.endswith("(simulated)")


def test_the_facts_of_the_devices_are_in_the_run_folder(run: Run) -> None:
    content = json.loads((run.out / "devices.json").read_text("utf-8"))

    assert [(d["device"], d["source"]) for d in content["devices"]] == [
        ("0", "simulated"), ("1", "simulated"),
    ]  # fmt: skip
    assert run.summary["findings"] == []


def test_no_raw_file_is_left(run: Run) -> None:
    assert not [path for path in folders.contents(run.out) if path.endswith(".part")]


def test_devices_that_tell_no_power_leave_no_telemetry(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    done = program.run(*words(own_yaml, out, 0.1))

    assert done.code == 0
    assert folders.summary(out)["device_telemetry"] is None
    assert folders.summary(out)["findings"] == []
    assert not folders.contents(out) & {"telemetry.csv", "devices.json", "telemetry.part"}
    assert " J a sample" not in done.out


def test_a_sampler_that_is_killed_costs_its_figures_and_not_the_run(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with program.start(*words(own_yaml, out, 0.5, *POWER)) as running:
        wait_until(lambda: folders.batches_so_far(out) > 0, "a batch is complete")
        os.kill(running.process_of(MODULE), signal.SIGKILL)
        done = running.finish()

    assert done.code == 0
    assert "ended early" in done.out
    assert folders.summary(out)["device_telemetry"]["energy_per_sample_j"] is None


def test_a_run_that_fails_keeps_what_was_sampled(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    done = program.run(*words(own_yaml, out, 2.0, *POWER, "--set", "fail_at_s=0.7"))

    assert done.code == 1
    assert len(Run(done, out).rows()) > 2
    assert not (out / "telemetry.part").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_sampler_outlives_its_run(
    program: Program, own_yaml: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with program.start(*words(own_yaml, tmp_path / "out", 20.0, *POWER)) as running:
        wait_until(lambda: folders.batches_so_far(tmp_path / "out") > 0, "a batch is complete")
        sampler = running.process_of(MODULE)
        running.send(number)
        running.finish()

        wait_until(lambda: sampler not in running.processes(), "the sampler is gone")


def test_bad_power_is_refused_with_the_other_options(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    done = program.run(*words(own_yaml, tmp_path / "out", 0.1, "--set", "power_w=much"))

    assert done.code == 2
    assert "power_w" in done.err
    assert not (tmp_path / "out").exists()
