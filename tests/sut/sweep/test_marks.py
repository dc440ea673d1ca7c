"""A row says why it is doubtful."""

from __future__ import annotations

import pytest

from sut.serve.losses import Loss
from sut.sweep.marks import lost, marks
from sut.sweep.steady import Rule, Steady

GOOD = {
    "samples_per_s": 100.0,
    "requests": 1_000.0,
    "little": 1.0,
    "parts_error_ns": 0.0,
    "late_share": 0.0,
    "lateness_max_ns": 2e6,
    "turn_overs": 80.0,
    "duration_s": 2.0,
}
STEADY = Steady(0, 1, (), 0.01, 0.01, 0.0, 0.0, 80.0)


def test_a_good_row_has_no_mark() -> None:
    assert marks(GOOD, STEADY, Rule()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"little": 0.96}, "Little's law: throughput x mean latency is 0.960"),
        ({"little": 1.04}, "Little's law"),
        ({"parts_error_ns": 1_500.0}, "parts: those of a sample differ from its latency by 1.5 us"),
        (
            {"late_share": 0.02},
            "generator late: 2.0% of the requests were sent late, by up to 2 ms",
        ),
        ({"turn_overs": 12.0}, "window cut short: what is in flight turned over 12.0 times"),
        ({"offered_per_s": 200.0}, "overload: 100 of 200 samples/s were answered"),
        ({"not_finite": 7.0}, "answers: those of 7 samples are no numbers"),
        ({"unanswered": 3.0}, "unanswered: 3 of 1,000 requests had no answer"),
    ],
)
def test_a_figure_against_the_others_is_a_mark(changes: dict[str, float], says: str) -> None:
    found = marks({**GOOD, **changes}, STEADY, Rule())

    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize("little", [0.97, 1.03])
def test_littles_ratio_may_be_at_its_edges(little: float) -> None:
    assert marks({**GOOD, "little": little}, STEADY, Rule()) == []


def test_a_window_that_is_not_steady_says_who_disturbed_it() -> None:
    loose = Steady(0, 1, (), 0.05, 0.01, 0.0, 0.0, 80.0)

    (found,) = marks(GOOD, loose, Rule(), "other processes used 1.2 cores")

    assert found == (
        "not steady after 2.0 s: samples/s is known to 5.0% (95 %), not to 2.0%. Meanwhile other "
        "processes used 1.2 cores. Raise --limit-s, or free the machine."
    )


def test_too_few_batches_to_judge_are_a_mark() -> None:
    (found,) = marks(GOOD, None, Rule())

    assert "too few batches" in found


def test_a_lost_worker_is_named_with_when_and_what_it_had() -> None:
    said = lost(Loss(1, "device 1: its process ended", 2_500_000_000, 2, 16), 1_000_000_000)

    assert "device 1: its process ended (1.5 s after the first request)" in said
    assert "got its 16 samples in flight" in said
