"""`sut tune` from outside, with the real LoadGen and simulated devices."""

from __future__ import annotations

import json
import re
import shutil
import signal
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from sut.base.environment import ROOT
from sut.base.files import held
from tests.sut.helpers import own
from tests.sut.helpers.program import run_here
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.sut.helpers.program import Done, Program

# Two devices that answer 3,000 samples/s, and a bound so wide that no busy machine breaks it.
SYSTEM = """\
description: two simulated devices
backend: simulated
devices: ["0", "1"]
harness: {workers: process, backend_options: {base_ms: 5.0, per_sample_ms: 0.5, slots: 2}}
"""
USER_CONF = "# ours\nresnet50.Server.target_latency = 200\n"
QUICK = ("--probe-s", 0.7, "--confirm-s", 1, "--confirm-runs", 1, "--quiet-s", 0)
HELD = ("--workers", "process", "--batches", "8,32")
# How a shell starts what it runs in the background: with SIGINT ignored.
IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("duo")
    (folder / "system.yaml").write_text(SYSTEM, "utf-8")
    (folder / "user.conf").write_text(USER_CONF, "utf-8")
    return folder


def words(system: Path, out: Path, *more: object) -> Sequence[object]:
    what = ("-b", "resnet50", "-s", "Server", "--system", system, "--out", out)
    return ("tune", *what, *QUICK, *HELD, *more)


@pytest.fixture(scope="module")
def tuned(program: Program, system: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tuning that was interrupted during a run, and started again."""
    out = tmp_path_factory.mktemp("out") / "tuning"
    with program.start(*words(system, out), before=IN_BACKGROUND) as running:
        wait_until((out / "trials" / "001" / "batches.trace").exists, "a first run")
        running.send(signal.SIGINT)
        interrupted = running.finish()
        assert running.processes() == {}
    assert interrupted.code == 130, interrupted.err
    assert "Results so far" in interrupted.out
    done = program.run(*words(system, out))
    assert done.code == 0, done.out + done.err
    (out / "said.txt").write_text(done.out, "utf-8")
    return out


@pytest.mark.slow
def test_c3_two_tunings_do_not_share_a_folder(tuned: Path, system: Path) -> None:
    before = (tuned / "journal.jsonl").read_bytes()

    with held(tuned, "--out"):
        done = run_here(*words(system, tuned))
        again = run_here(*words(system, tuned), "--fresh")

    assert (done.code, again.code) == (2, 2)
    assert "in use by another command" in done.err
    assert (tuned / "journal.jsonl").read_bytes() == before


@pytest.mark.slow
def test_c2_a_system_that_cannot_be_written_costs_no_tuning(tuned: Path, system: Path) -> None:
    in_the_way = system / "tuned.yaml.part"
    in_the_way.mkdir()

    done = run_here(*words(system, tuned))

    in_the_way.rmdir()
    assert done.code == 0, done.err
    assert f"Not written to {system}" in done.out
    assert "Report:" in done.out


@pytest.mark.slow
def test_an_interrupted_tuning_goes_on_and_does_not_measure_twice(tuned: Path) -> None:
    said = (tuned / "said.txt").read_text("utf-8")

    assert "continuing from" in said
    assert re.search(r"S\(b\) in ms: .*\[known\]", said)
    assert "Found: batch" in said


def test_n1_a_tuning_does_not_continue_with_another_model(tmp_path: Path) -> None:
    benchmark, out = own.make_benchmark(tmp_path), tmp_path / "tuning"
    out.mkdir()
    (out / "journal.jsonl").write_text('{"settings": {"model_sha256": "0"}}\n', "utf-8")

    done = run_here("tune", "-b", benchmark, "-s", "Server", "--out", out)

    assert done.code == 2
    assert "model_sha256" in done.err


@pytest.mark.slow
def test_the_interrupted_run_is_kept(tuned: Path) -> None:
    summary = json.loads((tuned / "trials" / "001" / "summary.json").read_text("utf-8"))

    assert summary["interrupted"] == "SIGINT"


@pytest.mark.slow
def test_the_summary_is_that_of_a_run_with_the_setting_beside_it(tuned: Path) -> None:
    summary = json.loads((tuned / "summary.json").read_text("utf-8"))

    assert summary["valid"] is True
    assert summary["simulated"] is True
    assert summary["metric"]["unit"] == "samples/s"
    tuning = summary["tuning"]
    assert tuning["harness"]["max_batch_size"] in {8, 32}
    assert tuning["target_qps"] > 500
    assert tuning["valid_runs"] == 1
    assert min(tuning["slack"].values()) >= 0


@pytest.mark.slow
def test_a_run_afterwards_uses_what_was_found_and_is_valid(
    tuned: Path, program: Program, system: Path, tmp_path: Path
) -> None:
    done = program.run(
        *("run", "-b", "resnet50", "-s", "Server", "--system", system, "--json"),
        *("--min-duration-s", 1, "--out", tmp_path / "run"),
    )

    assert done.code == 0, done.err
    used = json.loads((tuned / "summary.json").read_text("utf-8"))["tuning"]
    config = (tmp_path / "run" / "config.yaml").read_text("utf-8")
    assert f"{system.name}/tuned.yaml" in config
    ran = json.loads((tmp_path / "run" / "request.json").read_text("utf-8"))["harness"]
    assert ran["max_batch_size"] == used["harness"]["max_batch_size"]
    assert ran["max_queue_delay_us"] == used["harness"]["max_queue_delay_us"]
    conf = (system / "user.conf").read_text("utf-8")
    assert conf.startswith(USER_CONF)
    assert f"resnet50.Server.target_qps = {used['target_qps']:g}" in conf


@pytest.mark.slow
def test_every_picture_of_the_report_is_there_and_well_formed(tuned: Path) -> None:
    text = (tuned / "report.html").read_text("utf-8")
    pictures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)

    titles = [ET.fromstring(picture)[0].text for picture in pictures]
    assert titles == [
        "Time of one batch by batch size",
        "Throughput by batch size",
        "p99 against load",
        "Highest rate by batch and queue delay",
        "Runs in order",
    ]
    assert "Constraints" in text
    assert not re.search(r'(src|href)="', text), "the page needs no other file"


@pytest.mark.slow
def test_the_trials_are_there_as_a_table_and_as_data(tuned: Path) -> None:
    lines = (tuned / "trials.csv").read_text("utf-8").splitlines()
    data = json.loads((tuned / "report.json").read_text("utf-8"))

    assert len(lines) == 1 + sum(reply.get("histogram") is not None for _, reply in data["entries"])
    assert data["answer"]["is_valid"] is True


def fails(*more: object) -> Done:
    return run_here("tune", "-b", "resnet50", "-s", "Server", "--system", "r740_4xt4", *more)


@pytest.mark.slow
def test_what_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--quiet-s", 0)
    cases: dict[str, tuple[Sequence[object], str]] = {
        "bound": (("--target-latency-ms", 1, "--set", "slow=4", *out), "batch of one takes 1.95"),
        "curve": (("--set", "curve=nowhere.csv", *out, "--fresh"), "nowhere.csv"),
        "figure": (("--subject-to", "power<=70W", *out), "power"),
        "batches": (("--batches", "0", *out), "batch sizes"),
        "vary": (("--vary", "slots", *out), "KEY=V1,V2"),
        "instances": (("--vary", "instances=0,1", *out), "whole numbers"),
    }

    for words_, text in cases.values():
        done = fails(*words_)

        assert done.code in {1, 2}, done.out + done.err
        lines = [line for line in done.err.splitlines() if line.startswith("sut: ")]
        assert len(lines) == 1
        assert text in lines[0]
        assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_device_that_dies_ends_the_tuning_and_what_was_learnt_is_kept(
    program: Program, system: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    done = program.run(
        *words(system, out, "--batches", 8, "--set", "fail_at_s@1=3", "--probe-s", 8)
    )

    assert done.code == 1, done.out + done.err
    assert "a probe run failed" in done.err
    assert "device 1" in done.err
    assert "continues from there" in done.err
    assert (out / "report.html").exists()
    assert len((out / "journal.jsonl").read_text("utf-8").splitlines()) == 2


@pytest.mark.slow
def test_a_budget_for_a_batch_is_kept_and_what_was_found_is_written(
    program: Program, tmp_path: Path
) -> None:
    """A published table: batch 64 takes 3.9 ms and batch 128 takes 5.6 ms, by p99."""
    system = tmp_path / "tft"
    shutil.copytree(ROOT / "user_confs" / "tft_triton", system)

    done = program.run(
        *("tune", "-b", "resnet50", "-s", "Offline", "--system", system),
        *("--devices", "A100-tensorrt-electricity", "--subject-to", "p99<=5ms"),
        *("--workers", "thread", "--slots", 2, "--batches", "64,128", "--probe-s", 0.2),
        *("--confirm-s", 0.3, "--confirm-runs", 1, "--quiet-s", 0, "--json"),
        *("--out", tmp_path / "out"),
    )

    assert done.code == 0, done.out + done.err
    tuning = json.loads(done.out)["tuning"]
    assert tuning["harness"]["max_batch_size"] == 64
    ((text, slack),) = tuning["slack"].items()
    assert "p99 <= 5 ms of a batch" in text
    assert 0 < slack < 0.5
    assert "max_batch_size: 64" in (system / "tuned.yaml").read_text("utf-8")
