"""The sampler's loop on meters written by hand, and the file between it and its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sut.telemetry import log
from sut.telemetry.log import Line, Log
from sut.telemetry.meter import Facts, Process, Reading
from sut.telemetry.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWN, STRANGER = 100, 200


class CountingMeter:
    """A device whose energy is the number of its readings."""

    def __init__(self, device: str, processes: Sequence[Process] = ()) -> None:
        self.device = device
        self.asked = 0
        self._processes = tuple(processes)

    def facts(self) -> Facts:
        return Facts(self.device, "simulated", f"meter {self.device}")

    def sample(self) -> Reading:
        self.asked += 1
        return Reading(time.monotonic_ns(), 1, energy_j=float(self.asked))

    def processes(self) -> tuple[Process, ...]:
        return self._processes


def sampled(path: Path, meters: Sequence[CountingMeter], period_s: float, rounds: int) -> Log:
    """Sample until the first meter was asked so often, then end."""
    with path.open("wb") as file:
        sampler = Sampler(meters, file, period_s)
        sampler.sessions = {os.getsid(0)}
        thread = threading.Thread(target=sampler.run)
        thread.start()
        while meters[0].asked < rounds:
            thread.join(0.001)
        sampler.end()
        thread.join()
    return log.read(path)


def test_every_device_is_read_in_every_round_and_once_more_at_the_end(tmp_path: Path) -> None:
    meters = [CountingMeter("0"), CountingMeter("1")]

    found = sampled(tmp_path / "raw", meters, 0.002, 5)

    assert list(found.facts) == ["0", "1"]
    assert len(found.readings["0"]) == len(found.readings["1"]) == meters[0].asked > 5
    assert [r.energy_j for r in found.readings["1"]] == [*range(1, meters[1].asked + 1)]
    assert found.cpu_s is not None


def test_readings_keep_to_their_period(tmp_path: Path) -> None:
    found = sampled(tmp_path / "raw", [CountingMeter("0")], 0.02, 8)

    times_ns = [r.at_ns for r in found.readings["0"][:8]]
    # A reading may be late on a busy machine, but no two come closer than the schedule has them.
    assert times_ns[-1] - times_ns[0] >= 6 * 20_000_000


def test_the_end_does_not_wait_for_the_next_reading(tmp_path: Path) -> None:
    start_s = time.monotonic()

    sampled(tmp_path / "raw", [CountingMeter("0")], 20.0, 1)

    assert time.monotonic() - start_s < 10.0


def test_processes_of_the_test_s_session_are_its_own(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as other:
        meter = CountingMeter("0", [Process(os.getpid(), "me"), Process(other.pid, "other")])

        found = sampled(tmp_path / "raw", [meter], 0.002, 2)
        other.communicate(b"\n")

    assert found.processes["0"][os.getpid()].own
    assert [p.name for p in found.strangers("0")] == ["other"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    with path.open("wb") as file:
        log.write(
            file, [Line("0", facts=Facts("0", "nvml", "T4")), Line("0", reading=Reading(1, 2))]
        )
        file.write(b'{"device":"0","reading":{"at_ns"')

    found = log.read(path)

    assert found.readings["0"] == [Reading(1, 2)]
    assert found.cpu_s is None


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert log.read(tmp_path / "absent").facts == {}


def looks(*each: Sequence[Process]) -> Log:
    """Return the log of a device whose processes were looked at several times."""
    found = Log()
    found.add(Line("0", facts=Facts("0", "nvml", "T4")))
    for processes in each:
        found.add(Line("0", processes=tuple(processes)))
    return found


def test_a_process_that_came_later_is_a_stranger_when_the_test_s_own_are_known() -> None:
    found = looks([], [Process(OWN, "python", own=True), Process(STRANGER, "python")])

    assert [p.pid for p in found.strangers("0")] == [STRANGER]


def test_processes_numbered_by_the_host_are_not_taken_for_strangers() -> None:
    """In a container none is the test's own; who was there before it is one all the same."""
    found = looks([Process(STRANGER, "unknown")], [Process(STRANGER, "unknown"), Process(OWN, "?")])

    assert [p.pid for p in found.strangers("0")] == [STRANGER]


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_process_that_was_once_the_test_s_own_stays_so(order: tuple[bool, bool]) -> None:
    found = looks(*([Process(OWN, "python", 5, own)] for own in order))

    assert found.strangers("0") == []
    assert found.processes["0"][OWN] == Process(OWN, "python", 5, own=True)
