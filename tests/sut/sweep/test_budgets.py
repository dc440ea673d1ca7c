"""The best point within a budget and the knee, on the tables of NVIDIA's study of TFT."""

from __future__ import annotations

import msgspec
import pytest

from sut.record.table import Row, Table
from sut.sweep.budgets import best_within, knee
from tests.sut.sweep.study import table

BUDGETS_MS = (5, 10, 15, 25, 50, 100)
BUDGETS_NS = [ms * 1e6 for ms in BUDGETS_MS]
# By hand from the published tables: the best batch and its rate within each budget; None: none.
ANSWERS = {
    ("T4", "tensorrt", "electricity"): (
        [32, 64, 128, 256, 256, 1024],
        [6483, 9198, 11136, 12682, 12682, 13054],
    ),
    ("T4", "torchscript", "electricity"): (
        [None, 16, 32, 64, 128, 256],
        [0, 1914, 2821, 3366, 3787, 3948],
    ),
    ("A30", "tensorrt", "electricity"): (
        [32, 128, 256, 512, 1024, 1024],
        [8576, 19227, 24401, 27236, 28783, 28783],
    ),
    ("A30", "torchscript", "electricity"): (
        [None, 1, 128, 256, 512, 1024],
        [0, 126, 9216, 11370, 12384, 12850],
    ),
    ("A30", "torchscript", "traffic"): (
        [None, 64, 128, 256, 512, 1024],
        [0, 7179, 9946, 11822, 12825, 13285],
    ),
    ("V100", "tensorrt", "electricity"): (
        [32, 128, 128, 256, 1024, 1024],
        [7275, 13744, 13744, 17342, 23410, 23410],
    ),
    ("A100", "tensorrt", "electricity"): (
        [64, 256, 512, 1024, 1024, 1024],
        [17664, 35136, 49493, 54062, 54062, 54062],
    ),
}


def rows(*points: tuple[int, float, float]) -> Table:
    """Return a table of (batch, samples/s, p99 in ms)."""
    made = (
        Row(point={"batch": b}, figures={"samples_per_s": rate, "latency_p99_ns": ms * 1e6})
        for b, rate, ms in points
    )
    return Table(
        title="", source="test", load="offline", configuration={"Backend": "x"}, rows=tuple(made)
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_the_studys_tables_give_the_answers_that_were_found_by_hand(
    name: tuple[str, str, str],
) -> None:
    batches, rates = ANSWERS[name]

    found = best_within(table(*name), BUDGETS_NS)

    assert [best.row and best.row.point["batch"] for best in found] == batches
    reached = [best.row.figures["samples_per_s"] if best.row else 0 for best in found]
    assert reached == pytest.approx(rates, abs=0.51)
    assert [best.budget_ns for best in found] == BUDGETS_NS


def test_a_line_that_cuts_through_noise_is_a_knife_edge() -> None:
    for dataset in ("electricity", "traffic"):
        ten_ms = best_within(table("A30", "torchscript", dataset), [10e6])[0]

        assert ten_ms.knife_edge is not None
        assert "the budget of 10 ms cuts through it" in ten_ms.knife_edge


def test_a_budget_far_from_every_p99_is_no_knife_edge() -> None:
    (best,) = best_within(rows((1, 100, 5), (2, 190, 9)), [7e6])

    assert best.row is not None
    assert best.row.point == {"batch": 1}
    assert best.knife_edge is None


def test_a_knife_edge_names_both_answers() -> None:
    (best,) = best_within(rows((1, 100, 5), (64, 5000, 10.4)), [10e6])

    assert best.knife_edge == (
        "the answer may be batch 1 (100/s) or batch 64 (5,000/s): p99 of batch 64 lies between "
        "9.36 and 11.4 ms, and the budget of 10 ms cuts through it"
    )


def test_a_p99_that_may_be_above_the_budget_leaves_nothing_to_a_careful_reader() -> None:
    (best,) = best_within(rows((1, 100, 9.9)), [10e6])

    assert best.row is not None
    assert best.cautious is None
    assert best.knife_edge is not None
    assert best.knife_edge.startswith("the answer may be none or batch 1 (100/s): p99 of batch 1")


def test_a_measured_interval_replaces_the_assumed_one() -> None:
    wide = rows((1, 100, 5), (64, 5000, 10.4))
    last = wide.rows[1]
    narrow = {**last.figures, "latency_p99_low_ns": 10.3e6, "latency_p99_high_ns": 10.5e6}
    measured = msgspec.structs.replace(
        wide, rows=(wide.rows[0], msgspec.structs.replace(last, figures=narrow))
    )

    (best,) = best_within(measured, [10e6])

    assert best.knife_edge is None


def test_two_answers_of_the_same_rate_are_no_knife_edge() -> None:
    (best,) = best_within(rows((64, 1000, 8), (128, 1010, 9.9)), [10e6])

    assert best.row is not None
    assert best.row.point == {"batch": 128}
    assert best.knife_edge is None


def test_a_row_without_figures_is_no_answer() -> None:
    failed = Row(point={"batch": 8}, problem="the device failed")
    found = msgspec.structs.replace(rows((1, 100, 5)), rows=(failed,))

    assert best_within(found, [1e9])[0].row is None
    assert knee(found) is None


def test_the_knee_is_the_smallest_batch_near_the_peak_and_sees_the_fall_behind_it() -> None:
    study = table("T4", "tensorrt", "electricity")

    found = knee(study)

    assert found is not None
    assert found.point == {"batch": 256}
    by_batch = {row.point["batch"]: row.figures["samples_per_s"] for row in study.rows}
    assert by_batch[512] < by_batch[256]
    assert found.figures["samples_per_s"] >= 0.97 * by_batch[1024]


def test_a_knee_with_no_tolerance_is_the_peak() -> None:
    found = knee(rows((1, 100, 1), (2, 199, 1), (4, 200, 1)), share=0.0)

    assert found is not None
    assert found.point == {"batch": 4}
