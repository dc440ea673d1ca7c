"""`sut sweep` from outside, with simulated devices: a point that is good, and one that fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sut.base.errors import EXIT_BAD_INPUT, EXIT_INVALID
from sut.record.table import PARTS, Table, decode
from tests.sut.helpers.program import Done, run_here

DEVICE = ("--backend", "simulated", "--set", "base_ms=2", "--set", "per_sample_ms=0.5")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    out = tmp_path_factory.mktemp("sweep") / "out"
    what = ("--load", "closed", "--concurrency", "8", "--max-batch-size", "4")
    fails = ("--vary", "fail_at_s=100,0.001")
    return run_here(
        "sweep", "-b", "resnet50", *DEVICE, *what, *fails, "--least-s", 0, "--out", out
    ), out


@pytest.fixture(scope="module")
def table(swept: tuple[Done, Path]) -> Table:
    return decode((swept[1] / "table.json").read_bytes(), "table.json")


@pytest.mark.slow
def test_a_closed_loop_on_a_known_device_has_its_figures(
    swept: tuple[Done, Path], table: Table
) -> None:
    row = table.rows[0]
    figures = row.figures

    assert row.point == {"fail_at_s": 100, "concurrency": 8}
    assert "base_ms=2" in table.configuration["Options"]
    assert row.simulated
    assert figures["mean_batch"] == 4
    assert 500 < figures["samples_per_s"] <= 1_000.5
    assert figures["little"] == pytest.approx(1, abs=0.03)
    assert figures["parts_error_ns"] == 0
    mean_ns = sum(figures[f"{part}_ns"] for part in PARTS)
    assert mean_ns == pytest.approx(figures["latency_mean_ns"], rel=1e-6)
    assert figures["turn_overs"] >= 50
    assert len(row.windows) == 20
    with np.load(swept[1] / str(row.folder) / "batches.npz") as arrays:
        assert len(arrays["completed_ns"]) * 4 >= figures["samples"]


@pytest.mark.slow
def test_a_point_that_fails_is_left_out_by_name(swept: tuple[Done, Path], table: Table) -> None:
    done, out = swept
    row = table.rows[1]

    assert done.code == EXIT_INVALID
    assert row.figures == {}
    assert row.problem is not None
    assert "asked to fail 0.001 s after the first batch" in row.problem
    assert "Left out: fail at s 0.001, concurrency 8" in (out / "table.md").read_text("utf-8")


@pytest.mark.slow
def test_every_file_has_the_configuration(swept: tuple[Done, Path], table: Table) -> None:
    out = swept[1]

    assert table.configuration["Backend"] == "simulated"
    assert table.configuration["Precision"] == "simulated"
    assert table.command.startswith("sut sweep -b resnet50")
    assert "# Backend: simulated" in (out / "table.csv").read_text("utf-8")
    header = (out / "online_summary.csv").read_text("utf-8").splitlines()[0].split(",")
    assert {"fail_at_s", "concurrency", "Backend", "Slots", "latency_p99_ns"} <= set(header)


def test_a_dry_run_lists_the_points_and_makes_nothing(tmp_path: Path) -> None:
    words = ("--batches", "1:4:x2", "--slots", "1,2", "--dry-run", "--out", tmp_path / "out")

    done = run_here("sweep", "-b", "resnet50", *DEVICE, *words)

    assert done.code == 0
    assert done.out.splitlines()[0] == "slots 1, batch 1"
    assert done.out.splitlines()[-1].startswith("6 points, about 18 s, at most about")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--load", "poisson"), "--load poisson needs --qps"),
        (("--load", "closed", "--qps", "5"), "--qps is for --load poisson, constant; the load is"),
        (("--batches", "1:x"), '--batches 1:x: "1:x"; expected 8, 1,2,4'),
        (("--workers", "thread,thread"), "workers: thread, thread; expected different"),
        (("--devices", "0;;1"), "devices: 0, , 1; expected different values, none of them empty"),
        (("--precision", "fp17"), '--precision: "fp17"; expected one of fp32, int8, fp16'),
        (("--limit-s", "0"), "--limit-s is 0; expected more than 0"),
        (("--load", "replay", "--arrivals", "none.txt"), "none.txt: cannot be read"),
        (("--backend", "nul"), 'Did you mean "null"'),
        (("--set", "intra_op_threds=1"), 'Did you mean "intra_op_threads"'),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = run_here("sweep", "-b", "resnet50", *words, "--out", tmp_path / "out")

    assert done.code == EXIT_BAD_INPUT
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
