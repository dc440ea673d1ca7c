"""A signal ends a command, even where a library swallows the exception; cleaning up goes on."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from sut.base.signals import Stopped, stopped_by_signals

LIMIT_S = 10.0


def swallow_and_wait() -> None:
    """Do what a careless library does, and go on."""
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGTERM)
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        time.sleep(0.01)


def test_c9_a_signal_that_a_library_swallows_is_raised_again() -> None:
    with pytest.raises(Stopped, match="interrupted by SIGTERM") as raised, stopped_by_signals():
        swallow_and_wait()

    assert raised.value.exit_code == 143


def test_c9_cleaning_up_is_not_interrupted() -> None:
    cleaned = False

    def clean_up() -> None:
        nonlocal cleaned
        end_s = time.monotonic() + 0.5
        while time.monotonic() < end_s:
            time.sleep(0.01)
        cleaned = True

    def act() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            clean_up()

    with pytest.raises(Stopped), stopped_by_signals():
        act()

    assert cleaned


def test_c9_the_earlier_handlers_come_back() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]

    with pytest.raises(Stopped), stopped_by_signals():
        signal.raise_signal(signal.SIGHUP)

    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    assert after == before
