"""The memory that batches must fit into: of the host, and of a GPU that is played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sut.sweep.fit.memory import GpuMemory, HostMemory, default_limit
from sut.sweep.fit.memory_model import MemorySizes
from sut.sweep.tries.limit import MachineLimit

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


def on_host(private: float, opening: float) -> dict[str, Any]:
    return {
        "private_peak_bytes": private * GB,
        "opening": {"peak_bytes": opening * GB},
        "io_bytes": 8,
    }


def on_gpu(before: float, after: float, **device: float) -> dict[str, Any]:
    return {
        "opening": {"device_free_bytes": before * GB},
        "device": {"device_free": after * GB, **device},
        "io_bytes": 8,
    }


def test_processes_on_the_host_take_what_is_theirs_even_if_only_while_they_open() -> None:
    memory = HostMemory(4 * GB)
    assert memory.needed_bytes([on_host(1.0, 0.5), on_host(1.0, 1.5)], 0.0) == 2.5 * GB
    assert memory.sizes([on_host(1.0, 0.5)], 100) == MemorySizes(100, 8, opening=GB // 2)
    assert memory.taken_bytes(0.1) == 0


def test_a_reserve_on_the_host_is_a_smaller_limit() -> None:
    limit = HostMemory(4 * GB).limit(0.25)
    try:
        assert limit.bytes == 3 * GB
    finally:
        limit.close()


def test_processes_on_a_gpu_take_what_is_less_free_after_than_before() -> None:
    memory = GpuMemory("0", lambda device: 80 * GB)
    assert memory.limit_bytes == 80 * GB
    assert isinstance(memory.limit(0.1), MachineLimit)
    assert memory.needed_bytes([on_gpu(79.5, 50), on_gpu(70, 48)], 0.0) == 32 * GB


def test_a_reserve_on_a_gpu_is_allocated_and_not_counted() -> None:
    memory = GpuMemory("0", lambda device: 80 * GB)
    assert memory.taken_bytes(0.0) == 0
    assert memory.taken_bytes(0.1) == 8 * GB
    assert memory.needed_bytes([on_gpu(71.5, 40)], 0.1) == 32 * GB


def test_a_limit_on_a_gpu_takes_the_rest() -> None:
    memory = GpuMemory("0", lambda device: 80 * GB, 16 * GB)
    assert memory.limit_bytes == 16 * GB
    assert memory.taken_bytes(0.0) == 64 * GB
    assert memory.needed_bytes([on_gpu(15.5, 10)], 0.0) == 6 * GB


def test_without_nvml_the_first_try_shows_what_is_free() -> None:
    memory = GpuMemory("0", lambda device: None)
    assert memory.limit_bytes is None
    assert memory.taken_bytes(0.1) == 0
    assert memory.needed_bytes([on_gpu(79, 60)], 0.0) == 19 * GB
    assert memory.limit_bytes == 79 * GB


def test_weights_on_a_gpu_are_those_that_the_engine_counts() -> None:
    memory = GpuMemory("0", lambda device: 80 * GB)
    assert memory.sizes([on_gpu(79, 60, weights=50)], 100).weights == 50
    assert memory.sizes([on_gpu(79, 60)], 100).weights == 100


def test_the_hosts_limit_without_one_is_a_share_of_what_is_available(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 1000 kB\n")
    assert default_limit(tmp_path) == pytest.approx(0.8 * 1024 * 1000, abs=1)
