"""When frames of a sender with a clock were due, from when they were read."""

from __future__ import annotations

import pytest

from sut.video.sources.arrivals import OVER_NS, Arrivals

MS, EVERY = 1_000_000, 40


def lateness_ms(came_ms: list[float]) -> list[float]:
    """Return by how much each frame of a stream of 25 frames/s is late, in ms."""
    arrivals = Arrivals()
    return [
        (round(ms * MS) - arrivals.due_ns(number * EVERY / 1e3, round(ms * MS))) / MS
        for number, ms in enumerate(came_ms)
    ]


@pytest.mark.parametrize(
    ("came_ms", "late_ms"),
    [
        ([5, 45, 85, 125], [0, 0, 0, 0]),
        ([5, 60, 85, 140], [0, 15, 0, 15]),  # the network's jitter
        ([5, 105, 205, 305], [0, 60, 120, 180]),  # a reader that is slower than its sender
        ([5, 300, 301, 302], [0, 255, 216, 177]),  # a stall, and what has waited meanwhile
        ([500, 501, 502, 503], [0, 0, 0, 0]),  # sent before it was asked for, or faster than live
        ([500, 501, 502, 525, 545], [0, 0, 0, 0, 0]),
    ],
)
def test_a_frame_is_late_by_what_held_it_back(came_ms: list[float], late_ms: list[float]) -> None:
    assert lateness_ms(came_ms) == late_ms


def test_a_sender_that_paused_is_in_time_again_after_a_while() -> None:
    pause_ms = 3000.0
    frames = round(OVER_NS / MS / EVERY) + 2

    late = lateness_ms([0.0, *(pause_ms + EVERY * n for n in range(1, frames))])

    assert late[1] == pause_ms
    assert late[-1] == 0


def test_a_clock_that_drifts_adds_up_for_ten_seconds_at_most() -> None:
    late = lateness_ms([EVERY * n * 1.0001 for n in range(25 * 60)])

    assert max(late) <= 0.0001 * OVER_NS / MS + 0.01
