"""The choice of an Offline batch on published tables: the smallest near the peak in a budget."""

from __future__ import annotations

import csv

import pytest

from backends.simulated.curve import CURVES_DIR
from sut.tuner.batch_choice import Choice, Row, choose, scatter

TABLES = CURVES_DIR / "tft-fp16.csv"
BUDGETS_MS = (5, 10, 15, 25, 50, 100)
MS = 1e6

# Answers by hand: table, then batch (and samples/s) for each budget; None where nothing fits.
ANSWERS = {
    ("T4", "tensorrt", "electricity"): (
        (32, 6483), (64, 9198), (128, 11136), (256, 12682), (256, 12682), (1024, 13054),
    ),
    ("T4", "torchscript", "electricity"): (
        None, (16, 1914), (32, 2821), (64, 3366), (128, 3787), (256, 3948),
    ),
    ("A30", "tensorrt", "electricity"): (
        (32, 8576), (128, 19227), (256, 24401), (512, 27236), (1024, 28783), (1024, 28783),
    ),
    ("A30", "torchscript", "electricity"): (
        None, (1, 126), (128, 9216), (256, 11370), (512, 12384), (1024, 12850),
    ),
    ("A30", "torchscript", "traffic"): (
        None, (64, 7179), (128, 9946), (256, 11822), (512, 12825), (1024, 13285),
    ),
    ("V100", "tensorrt", "electricity"): (
        (32, 7275), (128, 13744), (128, 13744), (256, 17342), (1024, 23410), (1024, 23410),
    ),
    ("A100", "tensorrt", "electricity"): (
        (64, 17664), (256, 35136), (512, 49493), (1024, 54062), (1024, 54062), (1024, 54062),
    ),
}  # fmt: skip
KNIFE_EDGES = {
    (("A30", "torchscript", "electricity"), 10),
    (("A30", "torchscript", "traffic"), 10),
}


def tables() -> dict[tuple[str, str, str], list[Row]]:
    lines = [line for line in TABLES.read_text("utf-8").splitlines() if not line.startswith("#")]
    found: dict[tuple[str, str, str], list[Row]] = {}
    for line in csv.DictReader(lines):
        key = line["gpu"], line["backend"], line["dataset"]
        rate, p99_ns = float(line["inferences_per_second"]), float(line["p99_latency_ms"]) * MS
        found.setdefault(key, []).append(Row(int(line["batch"]), rate, p99_ns))
    return found


TFT = tables()


def chosen(key: tuple[str, str, str], budget_ms: float) -> Choice:
    choice = choose(TFT[key], budget_ms * MS)
    assert choice is not None
    return choice


@pytest.mark.parametrize("key", ANSWERS)
def test_the_answer_for_a_published_table_is_the_one_by_hand(key: tuple[str, str, str]) -> None:
    for budget_ms, answer in zip(BUDGETS_MS, ANSWERS[key], strict=True):
        choice = choose(TFT[key], budget_ms * MS)

        found = None if choice is None else (choice.row.batch, round(choice.row.rate))
        assert found is None if answer is None else found is not None
        if answer is not None and found is not None:
            assert found[0] == answer[0]
            assert abs(found[1] - answer[1]) <= 1


@pytest.mark.parametrize("key", TFT)
def test_every_answer_is_within_its_budget_and_near_the_best_that_is(
    key: tuple[str, str, str],
) -> None:
    for budget_ms in BUDGETS_MS:
        fitting = [row.rate for row in TFT[key] if row.latency_ns <= budget_ms * MS]
        choice = choose(TFT[key], budget_ms * MS)

        assert (choice is None) == (not fitting)
        if choice is not None:
            assert choice.row.latency_ns <= budget_ms * MS
            assert choice.row.rate >= 0.99 * max(fitting)


def test_the_two_knife_edges_of_the_tables_are_named_and_no_others() -> None:
    named = {
        (key, budget_ms)
        for key, rows in TFT.items()
        for budget_ms in BUDGETS_MS
        if (choice := choose(rows, budget_ms * MS))
        and any(note.startswith("Knife-edge") for note in choice.notes)
    }

    assert named == KNIFE_EDGES


def test_a_knife_edge_names_the_batches_that_the_line_cuts_and_what_it_is_worth() -> None:
    notes = " ".join(chosen(("A30", "torchscript", "electricity"), 10).notes)

    assert "Knife-edge" in notes
    assert "1, 2, 4" in notes
    assert "3-fold" in notes


def test_without_a_budget_the_smallest_batch_within_a_per_cent_of_the_peak_is_taken() -> None:
    flat = [Row(32, 980.0), Row(64, 995.0), Row(128, 1000.0), Row(256, 999.0)]

    choice = choose(flat)

    assert choice is not None
    assert (choice.row.batch, choice.peak.batch) == (64, 128)


def test_a_fall_beyond_the_peak_is_seen() -> None:
    rows = [row for row in TFT["T4", "tensorrt", "electricity"] if row.batch <= 512]

    choice = choose(rows)

    assert choice is not None
    assert choice.row.batch == 256
    assert "above batch 256" in " ".join(choice.notes)


def test_a_smaller_batch_that_may_be_as_good_within_the_spread_is_named() -> None:
    choice = choose([Row(32, 985.0, rate_uncertainty=0.01), Row(64, 1000.0, rate_uncertainty=0.01)])

    assert choice is not None
    assert choice.row.batch == 64
    assert "Batch 32 may also be within 1%" in " ".join(choice.notes)


def test_a_rising_table_shows_no_scatter_and_a_table_that_goes_down_does() -> None:
    assert scatter([1.0, 2.0, 3.0]) == 0.0
    assert scatter([1.0, 1.1, 0.99, 2.0]) == pytest.approx(0.0745, rel=0.01)
