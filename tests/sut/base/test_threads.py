"""Processor time by kind of thread."""

from __future__ import annotations

import time

import pytest

from sut.base.threads import ThreadClock
from tests.sut.helpers.waiting import wait_until


def test_a_thread_that_computes_counts_and_one_that_sleeps_does_not() -> None:
    clock = ThreadClock()
    until_s = time.thread_time() + 0.02
    while time.thread_time() < until_s:
        pass

    cores = clock.cores()

    # Sockets of other tests may be there, and it may be too short for a tick of the machine.
    assert cores.keys() - {"host_busy", "wire_cores"} == {"process_cores"}
    assert 0 < cores["process_cores"] < 2
    assert 0 <= cores.get("host_busy", 0) <= 1


def test_zeromqs_threads_are_counted_apart() -> None:
    zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
    with zmq.Context() as context, context.socket(zmq.PAIR) as sock:
        sock.bind("inproc://threads")

        def both() -> bool:  # the thread needs a moment to get its name
            return ThreadClock().cores().keys() >= {"process_cores", "wire_cores"}

        wait_until(both, "a thread of ZeroMQ is seen")

        assert both()
