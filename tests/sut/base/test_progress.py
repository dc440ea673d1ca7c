from __future__ import annotations

import io

from sut.base.progress import show_progress


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
