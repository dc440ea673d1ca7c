"""What says nothing for long has a line; what does, has none."""

from __future__ import annotations

import io
import threading

import pytest

from sut.base import ticker
from sut.base.progress import show_progress
from sut.base.steps import say_step
from sut.base.ticker import Ticker, doing, ticking
from sut.run.live import Screen
from tests.sut.helpers.waiting import wait_until


class Clock:
    """A time that stands still."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ticks(said: list[str], clock: Clock) -> Ticker:
    """A ticker that is due every ten seconds."""
    return Ticker(said.append, 10.0, clock)


def test_a_line_comes_when_nothing_was_said_for_so_long(
    ticks: Ticker, said: list[str], clock: Clock
) -> None:
    with ticks.doing("predicting"):
        say_step("412 of 960 settings")
        clock.now_s = 9.0
        assert ticks.tick() == 1.0
        assert said == []

        clock.now_s = 12.0
        assert ticks.tick() == 10.0

    assert said == ["predicting: 412 of 960 settings, 12 s"]


def test_what_is_done_inside_has_its_own_time_and_its_own_length(
    ticks: Ticker, said: list[str], clock: Clock
) -> None:
    with ticks.doing("tuning"), ticks.doing("probe at 27,110 queries/s"):
        clock.now_s = 6.0
        with ticks.doing("running", 20.0):
            clock.now_s = 20.0
            ticks.tick()

    assert said == ["probe at 27,110 queries/s: running: 14 of 20 s"]


def test_what_goes_on_after_something_else_begins_again(
    ticks: Ticker, said: list[str], clock: Clock
) -> None:
    with ticks.doing("predicting"):
        say_step("2 of 3")
        with ticks.doing("probe"):
            clock.now_s = 30.0
        clock.now_s = 42.0
        ticks.tick()

    assert said == ["predicting: 12 s"]


def test_a_line_of_somebody_else_counts(ticks: Ticker, said: list[str], clock: Clock) -> None:
    with ticks.doing("predicting"):
        clock.now_s = 9.0
        ticks.spoke()
        clock.now_s = 18.0
        assert ticks.tick() == 1.0

    assert said == []


def test_nothing_is_said_of_nothing(ticks: Ticker, said: list[str], clock: Clock) -> None:
    clock.now_s = 10.0

    assert ticks.tick() == 10.0

    assert said == []


def test_one_thread_says_it_as_long_as_it_takes(said: list[str]) -> None:
    before = threading.active_count()

    with ticking("outer", said.append, every_s=0.001), ticking("inner"), doing("within"):
        assert threading.active_count() == before + 1
        wait_until(lambda: bool(said), "a line is said")

    assert said[0] == "inner: within: 0 s"
    assert threading.active_count() == before


def test_without_a_ticker_nobody_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with doing("reading"):
        say_step("1 of 2")
        ticker.spoke()

    assert capsys.readouterr() == ("", "")


def test_live_lines_and_progress_put_the_next_line_off(said: list[str], clock: Clock) -> None:
    """All of them together are one line every ten seconds."""
    with ticking("working", said.append, 10.0, clock) as ticks:
        clock.now_s = 4.0
        Screen(io.StringIO()).show("a live line")
        assert ticks.tick() == 10.0

        clock.now_s = 8.0
        with show_progress("reading", io.StringIO(), quiet_s=0) as progress:
            progress(1, 1)
        assert ticks.tick() == 10.0

    assert said == []


def test_a_step_whose_length_is_unknown_has_a_line_too() -> None:
    stream, said = io.StringIO(), list[str]()

    with ticking("working", said.append, every_s=0.001), show_progress("reading", stream) as show:
        show(7, None)
        wait_until(lambda: "reading: 0 s" in said, "a line is said")

    assert stream.getvalue() == ""
