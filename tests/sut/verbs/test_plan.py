"""`sut plan` as a user calls it, with rates that a device holds at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sut.cli import main

SYSTEM = """
description: two kinds
backend: simulated
devices: ["a", "b", "c"]
harness:
  backend_options: {base_ms: 1.0, per_sample_ms: 1.0, slow@c: 3.0, power_w: 100, idle_w: 20}
benchmarks:
  resnet50: {}
"""


@pytest.fixture
def system(tmp_path: Path) -> str:
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "system.yaml").write_text(SYSTEM)
    return str(folder)


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["plan", "-b", "resnet50", "--samples", "500", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_each_kind_has_a_count_a_power_and_the_price_that_the_user_named(
    capsys: pytest.CaptureFixture[str], system: str
) -> None:
    words = ["--qps", "60", "--bound-ms", "40", "--system", system, "--cost", f"{system}:a=7"]
    code, out, _ = plan(capsys, *words, "--json")
    fast, slow = json.loads(out)["kinds"]

    assert code == 0
    assert (fast["kind"], fast["devices"], fast["cost"]) == (f"{system}:a", 1, 7)
    assert slow["kind"] == f"{system}:c"
    assert slow["devices"] >= 1
    assert 20 < fast["power_w"] < 100
    assert "cost" not in slow  # absent, never zero
    assert fast["latency_ms"] <= 40
    assert fast["simulated"] is True


@pytest.mark.parametrize(
    ("bound_ms", "rtt_ms", "place", "code"),
    [(40, 10, "offload", 0), (40, 38, "edge", 0), (40, 50, "edge", 0), (1, 0.5, "neither", 3)],
)
def test_the_network_fits_into_the_bound_or_not(  # noqa: PLR0913 - the rows of a table
    capsys: pytest.CaptureFixture[str],
    system: str,
    bound_ms: float,
    rtt_ms: float,
    place: str,
    code: int,
) -> None:
    words = ["--qps", "60", "--bound-ms", str(bound_ms), "--rtt-ms", str(rtt_ms)]
    found, out, _ = plan(capsys, *words, "--system", system, "--json")

    assert found == code
    assert json.loads(out)["kinds"][0]["place"] == place


def test_the_table_names_the_percentile_and_leaves_unknown_columns_empty(
    capsys: pytest.CaptureFixture[str], system: str
) -> None:
    words = ["--qps", "60", "--bound-ms", "1", "--percentile", "97", "--system", system]
    code, out, _ = plan(capsys, *words)

    assert code == 3
    assert "p97 within 1 ms" in out
    assert "none" in out
    assert "formula 1 + 1 b ms" in out


def test_devices_on_nodes_hold_less_by_what_the_wire_takes(
    capsys: pytest.CaptureFixture[str], system: str
) -> None:
    words = ["--qps", "300", "--bound-ms", "40", "--system", system, "--json"]
    here = json.loads(plan(capsys, *words)[1])["kinds"][0]
    there = json.loads(plan(capsys, *words, "--per-node", "2", "--wire-us", "9000")[1])["kinds"][0]

    assert here["devices"] <= there["devices"]
    assert there["nodes"] == -(-there["devices"] // 2)
    assert there["slots"] > here["slots"]  # more batches are on their way
    assert "remote workers" in there["settings"]
    assert set(there["shared_busy"]) > set(here["shared_busy"])
    assert "nodes" not in here


def test_what_no_node_helps_is_named(capsys: pytest.CaptureFixture[str], system: str) -> None:
    words = ["--qps", "3000", "--bound-ms", "40", "--system", system, "--per-node", "4"]
    code, out, _ = plan(capsys, *words, "--sample-bytes", "150528", "--gbit", "1")

    assert code == 3
    assert "LoadGen's network would be busy for 361% of the time" in out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--system", "r740_4xt5"], "Did you mean"),
        (["--system", "default"], "--measured"),
        (["--system", "r740_4xt4", "-b", "retinanet"], "no S(b) for retinanet"),
        (["--system", "r740_4xt4", "--cost", "T4=1"], "none of the kinds"),
        (["--system", "r740_4xt4", "--cost", "r740_4xt4=free"], "above 0"),
        (["--system", "r740_4xt4", "--percentile", "98"], "97, 99 and 99.9"),
        (["--system", "r740_4xt4", "--confidence", "2"], "such as 0.95"),
        (["--system", "r740_4xt4", "--samples", "0"], "such as 30000"),
        (["--system", "r740_4xt4", "--gbit", "10"], "expected --per-node N"),
        (["--system", "r740_4xt4", "--per-node", "0"], "1 or more devices"),
        (["--measured", "/nowhere"], "the folder of sut tune"),
        ([], "expected --system"),
        (["--all", "-b", "nanodet"], "no simulated system knows nanodet"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], fragment: str
) -> None:
    code, out, err = plan(capsys, "--qps", "60", "--bound-ms", "40", *words)

    assert (code, out) == (2, "")
    assert fragment in err
    assert err.count("\n") == 1


def test_a_tuning_gives_its_own_times_and_power(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    points = {str(b): {"median_ns": 1e6 + b * 1e6, "low_ns": 0, "high_ns": 0} for b in (1, 4, 16)}
    measure = {"kind": "measure", "variant": {"instances": 1, "options": []}, "sizes": [1, 4, 16]}
    candidate = {
        "max_batch_size": 4,
        "max_queue_delay_us": "late",
        "slots": 2,
        "workers": "process",
    }
    trial = {"kind": "trial", "purpose": "confirm", "candidate": candidate, "seconds": 60}
    outcome = {
        "valid": True, "metric": 1.0, "samples": 1, "latency_ns": {}, "over": 0, "histogram": {},
        "seconds": 1.0, "power_w": 55.0,
    }  # fmt: skip
    entries = [
        {"settings": {}},
        {"ask": measure, "reply": {"workers": [["0", points], ["1", points]]}},
        {"ask": trial, "reply": outcome},
    ]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))

    words = ["--qps", "60", "--bound-ms", "40", "--measured", str(tmp_path)]
    code, out, _ = plan(capsys, *words, "--json")
    (kind,) = json.loads(out)["kinds"]

    assert code == 0
    assert (kind["kind"], kind["devices"], kind["power_w"]) == (tmp_path.name, 1, 55.0)
    assert kind["simulated"] is False


def test_a_journal_of_something_else_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "journal.jsonl").write_text('{"settings": {}}\n{"point": 1}\n')

    words = ["--qps", "60", "--bound-ms", "40", "--measured", str(tmp_path)]
    code, _, err = plan(capsys, *words)

    assert code == 2
    assert "expected that of sut tune" in err
