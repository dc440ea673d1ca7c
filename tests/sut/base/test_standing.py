"""A process that was stopped is noticed."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sut.base.process import is_stopped
from sut.base.standing import Standing
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 1.5


@pytest.fixture
def stopped() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands still."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(process.pid), "it stands still")
        yield process
        process.kill()


class Clock:
    """A time that stands still."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_process_that_stands_still_for_long_is_noticed(stopped: subprocess.Popen[bytes]) -> None:
    clock = Clock()
    standing = Standing(LIMIT_S, clock)

    assert not standing.too_long(stopped.pid)
    clock.now_s = LIMIT_S - 0.1
    assert not standing.too_long(stopped.pid)
    clock.now_s = LIMIT_S
    assert standing.too_long(stopped.pid)


def test_a_process_that_went_on_meanwhile_has_all_its_time_again(
    stopped: subprocess.Popen[bytes],
) -> None:
    clock = Clock()
    standing = Standing(LIMIT_S, clock)

    assert not standing.too_long(stopped.pid)
    clock.now_s = LIMIT_S
    assert not standing.too_long(None)
    assert not standing.too_long(stopped.pid)
