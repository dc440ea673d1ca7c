"""How much others use of the machine, and waiting until it is little."""

from __future__ import annotations

import itertools

import pytest

from sut.telemetry.neighbours import DISTURBING_CORES, Neighbours, Quiet, disturbance


@pytest.mark.parametrize(("cores", "disturbs"), [(None, False), (0.1, False), (0.4, True)])
def test_others_disturb_from_a_third_of_a_core(cores: float | None, disturbs: bool) -> None:
    assert bool(disturbance(cores)) == disturbs
    assert disturbance(DISTURBING_CORES)


def test_the_time_of_others_is_counted_from_the_creation() -> None:
    busy_s = iter((500.0, 600.0))

    cores = Neighbours(lambda: next(busy_s)).cores()

    assert cores is not None
    assert cores > 100, "100 s of processors in far less than a second"


def test_our_own_processes_that_go_on_are_no_others() -> None:
    busy_s, own_s = iter((500.0, 600.0)), iter((0.0, 100.0))

    cores = Quiet(0.0, print, lambda: next(busy_s), own_s=lambda: next(own_s)).watch().cores()

    assert cores == 0


def test_a_machine_that_does_not_say_is_no_disturbance() -> None:
    assert Neighbours(lambda: None).cores() is None


def test_nothing_waits_for_a_machine_that_is_quiet_or_without_a_limit() -> None:
    said: list[str] = []

    Quiet(60.0, said.append, lambda: 0.0, look_s=0.001).wait()
    Quiet(0.0, said.append, itertools.count(0.0, 100.0).__next__, look_s=60.0).wait()

    assert said == []


def test_a_wait_says_why_once_and_ends_at_its_limit() -> None:
    said: list[str] = []

    Quiet(0.02, said.append, itertools.count(0.0, 100.0).__next__, look_s=0.001).wait()

    (line,) = said
    assert "other processes" in line
