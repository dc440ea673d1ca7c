"""What is read of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sut.base.environment import cores, physical_cores

if TYPE_CHECKING:
    from pathlib import Path


def machine_with(root: Path, siblings: str) -> Path:
    for cpu in os.sched_getaffinity(0):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings.format(cpu=cpu))
    return root


def test_hyperthreads_of_one_core_count_once(tmp_path: Path) -> None:
    assert physical_cores(machine_with(tmp_path, "0-1\n"), "x86_64") == 1


@pytest.mark.parametrize("siblings", ["{cpu}\n", "0-15\n", "0,2,4,6\n"])
def test_cores_alone_or_too_many_on_one_core_count_each(tmp_path: Path, siblings: str) -> None:
    assert physical_cores(machine_with(tmp_path, siblings), "x86_64") == cores()


def test_a_kernel_that_shows_no_topology(tmp_path: Path) -> None:
    assert physical_cores(tmp_path) == cores()


def test_a_processor_with_eight_hyperthreads_is_believed(tmp_path: Path) -> None:
    assert physical_cores(machine_with(tmp_path, "0-7\n"), "ppc64le") == 1
