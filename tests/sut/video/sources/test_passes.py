"""Frames that come without an end, as passes of a clip."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from sut.video.sources.base import ClipFacts
from sut.video.sources.passes import Passes, frames_before

if TYPE_CHECKING:
    from collections.abc import Generator


class Frames:
    """Yields the times of a clip, `passes` times over; says how often it began and was closed."""

    def __init__(self, times: list[int], passes: int) -> None:
        self.times, self.passes = times, passes
        self.begun = self.closed = self.given = 0

    def __call__(self) -> Generator[int, None, None]:
        self.begun += 1
        try:
            for _ in range(self.passes):
                for time in self.times:
                    self.given += 1
                    yield time
        finally:
            self.closed += 1


class Shown:
    """A frame with its time."""

    def __init__(self, time: int | None) -> None:
        self.time = time


def passes_of(frames: Frames) -> Passes[Shown]:
    def begin() -> Generator[Shown, None, None]:
        yield from map(Shown, frames())

    return Passes(begin, (lambda shown: shown.time) if frames.passes > 1 else None)


def times(passes: Passes[Shown]) -> list[int | None]:
    return [shown.time for shown in passes.one()]


def test_a_time_that_goes_back_begins_a_pass() -> None:
    frames = Frames([5, 7, 8], passes=100)
    passes = passes_of(frames)

    assert [times(passes) for _ in range(4)] == [[5, 7, 8]] * 4
    assert (frames.begun, frames.given) == (1, 4 * 3 + 1)
    passes.close()
    assert frames.closed == 1


def test_what_ends_after_one_pass_begins_anew_and_its_times_may_go_back() -> None:
    frames = Frames([3, 4, 1, 2], passes=1)
    passes = passes_of(frames)

    assert [times(passes) for _ in range(3)] == [[3, 4, 1, 2]] * 3
    assert (frames.begun, frames.closed) == (3, 3)


def test_a_frame_without_a_time_begins_no_pass() -> None:
    given = iter([1, None, 2, 1, None, 2, 1])
    passes = Passes(lambda: (Shown(time) for time in given), lambda shown: shown.time)

    assert [times(passes) for _ in range(2)] == [[1, None, 2]] * 2


def test_a_pass_that_was_left_in_the_middle_begins_anew() -> None:
    frames = Frames([1, 2, 3], passes=100)
    passes = passes_of(frames)
    assert [shown.time for shown in islice(passes.one(), 2)] == [1, 2]

    assert times(passes) == [1, 2, 3]
    assert (frames.begun, frames.closed) == (2, 1)


def test_the_first_frame_can_be_had_beforehand() -> None:
    frames = Frames([1, 2], passes=100)
    passes = passes_of(frames)
    passes.prepare()
    assert frames.given == 1

    assert times(passes) == [1, 2]
    assert frames.begun == 1


def test_the_first_pass_can_begin_later() -> None:
    frames = Frames([1, 2, 3, 4], passes=100)
    passes = passes_of(frames)

    passes.skip(2)

    assert [times(passes) for _ in range(3)] == [[3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("frames", "share", "before"), [(120, 0.0, 0), (120, 0.5, 60), (9000, 0.5, 75), (None, 0.2, 30)]
)
def test_what_lies_before_a_place_of_a_long_clip_is_of_its_first_seconds(
    frames: int | None, share: float, before: int
) -> None:
    facts = ClipFacts("long.mp4", "h264", 64, 48, 30.0, frames)

    assert frames_before(facts, share) == before


def test_no_frames_are_an_empty_pass() -> None:
    assert times(passes_of(Frames([], passes=1))) == []
