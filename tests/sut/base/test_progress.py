from __future__ import annotations

import io

import pytest

from sut.base.progress import duration, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_short_step_prints_nothing_without_a_terminal() -> None:
    stream = io.StringIO()

    with show_progress("reading", stream, quiet_s=60) as progress:
        progress(20, 20)

    assert stream.getvalue() == ""


def test_without_a_terminal_a_line_is_printed_each_tenth() -> None:
    stream = io.StringIO()

    with show_progress("reading", stream, quiet_s=0) as progress:
        for done in range(1, 1001):
            progress(done, 1000)

    lines = stream.getvalue().splitlines()
    assert lines == [f"reading: {done} of 1000" for done in range(100, 1001, 100)]


def test_without_a_total_nothing_is_printed() -> None:
    stream = io.StringIO()

    with show_progress("reading", stream) as progress:
        progress(7, None)

    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()

    with show_progress("reading", stream) as progress:
        progress(3, 4)

    assert "reading" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "0 s"), (45, "45 s"), (240, "240 s"), (720, "12 min"), (102_728, "28 h 32 min")],
)
def test_c11_a_long_time_is_shown_in_hours(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
