"""The pure parts of the CUDA worker: the ladder of batch sizes, the clock, NUMA nodes, rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.cuda.clock import DeviceClock
from backends.cuda.errors import CudaError, OutOfMemoryError, failure
from backends.cuda.host_driver import HostDriver
from backends.cuda.numa import cpus_of_node, node_of_pci, on_node
from backends.cuda.order import LEAST_BLOCKS, MOST_BLOCKS, GatherOrder, gather_blocks, order_bytes
from backends.ladder import default_sizes, fitting, read_sizes
from backends.rows import is_run
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# The ladder


@given(st.integers(1, 3000))
def test_the_default_sizes_rise_from_one_to_the_cap(cap: int) -> None:
    sizes = default_sizes(cap)

    assert sizes[0] == 1
    assert sizes[-1] == cap
    assert sorted(set(sizes)) == list(sizes)


@given(st.sets(st.integers(1, 64), min_size=1), st.data())
def test_a_batch_takes_the_smallest_size_that_holds_it(
    sizes: set[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, max(sizes)))

    assert fitting(sorted(sizes), count) == min(size for size in sizes if size >= count)


def test_without_sizes_a_batch_keeps_its_own() -> None:
    assert fitting((), 17) == 17


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("1,8", (1, 8, 26)), ("26", (26,)), (8, (8, 26)), (" 4 , 2", (2, 4, 26))],
)
def test_sizes_are_read_and_the_cap_is_always_one(text: str | int, sizes: tuple[int, ...]) -> None:
    assert read_sizes(text, 26, "here") == sizes


@pytest.mark.parametrize("text", ["0", "27", "1,,2", "1;2", "-1", "big", 0])
def test_sizes_that_do_not_fit_are_refused(text: str | int) -> None:
    with pytest.raises(ConfigError, match=r'here: .*"graph_sizes".*max_batch_size'):
        read_sizes(text, 26, "here")


# The clock


def test_the_clock_finds_the_offset_between_its_bounds() -> None:
    clock = DeviceClock()
    offset_ns = 5_000_000_000

    # The host is 30 us early and 40 us late, then 4 us early and 6 us late.
    clock.observe(1_000_000 - 30_000, 1_000_000 - offset_ns, 1_500_000 - offset_ns, 1_540_000)
    clock.observe(2_000_000 - 4_000, 2_000_000 - offset_ns, 2_500_000 - offset_ns, 2_506_000)

    assert clock.host_ns(3_000_000 - offset_ns) == pytest.approx(3_000_000, abs=1_100)


def test_the_clock_follows_a_drift() -> None:
    clock = DeviceClock()
    drift = 50e-6
    host_ns = device_ns = 0

    for k in range(2_000):
        host_ns = k * 10_000_000
        device_ns = int(host_ns * (1 + drift))
        clock.observe(host_ns - 5_000, device_ns, device_ns + 1_000, host_ns + 6_000)

    assert clock.host_ns(device_ns) == pytest.approx(host_ns, abs=10_000)


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    clock = DeviceClock()
    clock.observe(0, 10, 20, 30)

    clock.observe(1_000_000_000, 100, 200, 1_000_000_400)

    assert 1_000_000_000 <= clock.host_ns(100) <= 1_000_000_400


# Errors


def test_out_of_memory_is_told_apart_and_says_what_to_do() -> None:
    full = failure(
        "device 1", "cudaMalloc of 3.0 MiB", "cudaErrorMemoryAllocation", "out of memory"
    )
    lost = failure("device 1", "cudaEventSynchronize", "cudaErrorIllegalAddress", "no such memory")

    assert isinstance(full, OutOfMemoryError)
    assert "max_batch_size" in str(full)
    assert isinstance(lost, CudaError)
    assert not isinstance(lost, OutOfMemoryError)
    assert lost.name == "cudaErrorIllegalAddress"


# Nodes


def test_a_device_is_on_the_node_that_the_kernel_says(tmp_path: Path) -> None:
    device = tmp_path / "bus/pci/devices/0000:3b:00.0"
    device.mkdir(parents=True)
    (device / "numa_node").write_text("1\n")

    assert node_of_pci("0000:3b:00.0", tmp_path) == 1
    (device / "numa_node").write_text("-1\n")
    assert node_of_pci("0000:3b:00.0", tmp_path) is None
    assert node_of_pci("0000:5e:00.0", tmp_path) is None


def test_the_cores_of_a_node_are_read(tmp_path: Path) -> None:
    node = tmp_path / "devices/system/node/node1"
    node.mkdir(parents=True)
    (node / "cpulist").write_text("0-2,8\n")

    assert cpus_of_node(1, tmp_path) == {0, 1, 2, 8}
    assert cpus_of_node(2, tmp_path) == set()


def test_a_thread_gets_its_cores_back() -> None:
    before = os.sched_getaffinity(0)

    with on_node(0):
        assert os.sched_getaffinity(0) <= before

    assert os.sched_getaffinity(0) == before


# Rows


@pytest.mark.parametrize(
    ("rows", "run"),
    [([3], True), ([3, 4, 5], True), (range(2, 6), True), ([3, 5, 4], False), ([2, 2, 4], False)],
)
def test_rows_that_follow_each_other_are_a_run(rows: list[int], run: bool) -> None:
    assert is_run(rows) is run


@pytest.mark.parametrize(("row_bytes", "blocks"), [(16, MOST_BLOCKS), (301_056, LEAST_BLOCKS)])
def test_a_gather_of_small_rows_takes_more_blocks(row_bytes: int, blocks: int) -> None:
    assert gather_blocks(row_bytes) == blocks


def test_an_order_holds_the_rows_of_its_latest_batch() -> None:
    driver = HostDriver()
    address = driver.pin(order_bytes(4, 2))
    order = GatherOrder(address, 4, [16, 48])

    order.write([4096, 0], [3, 1, 2, 0])
    order.write([8192, 12288], [7, 5])

    assert order.read(0) == (8192, [7, 5])
    assert order.read(1) == (12288, [7, 5])
    driver.unpin(address)
