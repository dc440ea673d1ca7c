"""`sut devices` from outside: real engines on this CPU, simulated devices of which one fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from sut.base.errors import EXIT_BAD_INPUT, EXIT_INVALID, EXIT_VALID
from sut.record.table import decode
from tests.sut.helpers import own
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

SHORT = ("--repeats", 1, "--least-s", 0.1, "--limit-s", 1)


@pytest.mark.slow
@pytest.mark.timeout(120)  # three processes, one after the other, also on a busy machine
def test_precisions_of_this_cpu_in_one_table(own_yaml: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    what = ("--devices", "cpu", "--precision", "fp32,tf32", "--batches", 2)
    done = run_here("devices", "-b", own_yaml, *what, *SHORT, "--out", out, "--json")

    assert done.code == EXIT_VALID, done.err
    table = decode((out / "table.json").read_bytes(), "table.json")
    fp32, tf32 = table.rows
    assert json.loads(done.out)["rows"][0]["figures"] == fp32.figures
    assert fp32.labels["ran in"] == "1 fp32"
    assert fp32.figures["flops_share"] == 1.0
    assert fp32.figures["accuracy"] == (own.COUNT - own.WRONG) / own.COUNT
    assert fp32.figures["accuracy_delta"] == 0.0
    assert fp32.figures["flops"] >= 2 * 2 * 3 * own.SIZE**2 * own.CLASSES
    assert fp32.figures["peak_flops_per_s"] > fp32.figures["flops_per_s"]
    assert fp32.figures["compute_p50_low_ns"] <= fp32.figures["compute_p50_ns"]
    assert tf32.problem is not None
    assert "cannot be asked for tf32" in tf32.problem
    assert ElementTree.parse(out / "roofline.svg").getroot().tag.endswith("svg")
    assert "## Roofline" in (out / "table.md").read_text("utf-8")
    assert run_here("report", out).code == EXIT_VALID
    assert ">Roofline<" in (out / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_a_device_that_fails_has_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    device = ("--backend", "simulated", "--set", "base_ms=5", "--set", "fail_at_s@A=0.0")
    what = ("--devices", "A,B", "--batches", 4)
    out = tmp_path / "out"
    done = run_here("devices", "-b", "resnet50", *device, *what, *SHORT, "--out", out)

    assert done.code == EXIT_INVALID, done.err
    failed, good = decode((out / "table.json").read_bytes(), "table.json").rows
    assert failed.problem is not None
    assert "asked to fail" in failed.problem
    assert good.simulated
    assert good.figures["compute_p50_ns"] == pytest.approx(5e6, rel=0.2)
    assert good.figures["samples_per_s"] > 1.0
    assert "accuracy" not in good.figures


def test_what_is_known_before_is_listed_without_a_run(own_yaml: Path) -> None:
    what = ("--devices", "cpu,7", "--precision", "fp32,bf16", "--batches", "1,4")
    done = run_here("devices", "-b", own_yaml, *what, "--dry-run")

    assert done.code == EXIT_VALID
    lines = done.out.splitlines()
    assert len(lines) == 8
    assert "refused: backend onnxruntime cannot be asked for bf16" in lines[2]
    assert "refused: there is no device 7 here" in lines[-1]


def test_a_system_brings_its_devices() -> None:
    what = ("--system", "r740_4xt4", "--batches", "8", "--dry-run")
    done = run_here("devices", "-b", "resnet50", *what)

    assert done.code == EXIT_VALID
    assert [line.split(",")[0] for line in done.out.splitlines()] == [f"device {k}" for k in "0123"]
    assert ": simulated on" in done.out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--precision", "fp61"], "expected one of fp32"),
        (["--batches", "0"], "numbers above 0"),
        (["--repeats", "0"], "expected 1 or more"),
        (["--spread", "0"], "expected more than 0"),
        (["--least-s", "99"], "expected 0 to --limit-s"),
        (["--devices", "cpu,cpu"], "expected different names"),
        (["--set", "threads"], "expected KEY=VALUE"),
        (["--backend", "onnx"], "onnxruntime"),
    ],
)
def test_bad_input_is_one_line(own_yaml: Path, words: list[str], fragment: str) -> None:
    done = run_here("devices", "-b", own_yaml, *words)

    assert done.code == EXIT_BAD_INPUT
    assert fragment in done.err
    assert done.err.count("\n") == 1
