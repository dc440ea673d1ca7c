"""A child process that was killed is waited for, but never for good."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sut.base import ending
from sut.base.errors import SutError


class Held:
    """A process that a driver holds: SIGKILL does not end it."""

    pid = os.getpid()  # of a process that is there

    def __init__(self) -> None:
        self.was_killed = False

    def kill(self) -> None:
        self.was_killed = True

    def wait(self, timeout: float | None = None) -> int | None:
        assert timeout is not None, "nobody waits for it without a limit"
        raise subprocess.TimeoutExpired("held", timeout)


def test_a_process_that_does_not_end_is_killed() -> None:
    process = subprocess.Popen(["sleep", "60"])

    assert not ending.end(process, "a sleeper")

    assert process.returncode == -9


def test_a_process_that_ends_in_time_is_left_alone() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])

    assert ending.end(process, "a short one", 10.0)

    assert process.returncode == 0


def test_a_process_that_outlives_sigkill_is_left_behind_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Held()
    start_s = time.monotonic()

    assert not ending.end(process, "device 3", 0.0)
    assert ending.reap(process, "device 3", 0.1) is None

    assert process.was_killed
    assert time.monotonic() - start_s < ending.KILLED_S
    (line, again) = caplog.messages
    assert line.startswith(f"device 3: process {os.getpid()} (state ")
    assert f"has not ended {ending.KILLED_S:g} s after SIGKILL" in line
    assert "has not ended 0.1 s" in again


def test_what_a_program_wrote_is_its_output() -> None:
    done = ending.output(["sh", "-c", "cat; echo no >&2; exit 3"], 10.0, "said")

    assert (done.returncode, done.stdout, done.stderr) == (3, "said", "no\n")


def test_a_program_that_does_not_end_is_killed_and_named() -> None:
    with pytest.raises(SutError, match=r"sleep 60: it does not end within 0\.05 s"):
        ending.output(["sleep", "60"], 0.05)


def test_a_process_that_is_gone_by_then_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    process = subprocess.Popen(["true"])
    process.wait()

    ending.warn_left(process.pid, "device 3", 1.0)

    assert caplog.messages == []
