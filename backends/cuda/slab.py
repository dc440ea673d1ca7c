"""All loaded samples in one pinned, page-aligned block of host memory, shared by what is near it.

One for each NUMA node and array: the engines of a process on GPUs of one node use the same.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from backends.cuda.numa import on_node
from backends.cuda.pinned import pinned_bytes

if TYPE_CHECKING:
    from backends.base import Array
    from backends.cuda.driver import Driver


class Slab:
    """Samples that a device can read.

    Attributes:
        address: of row 0.
        row_bytes: from one row to the next.
        count: rows.
        array: the samples in pinned memory, [count, ...]; empty when they are on the device.
    """

    def __init__(self, driver: Driver, samples: Array, *, on_device: bool) -> None:
        self.count = len(samples)
        self.row_bytes = samples.nbytes // len(samples)
        self.on_device = on_device
        self._driver = driver
        self._shared = _take(driver, samples)
        self.address = self._shared.address
        block = pinned_bytes(self.address, samples.nbytes)
        self.array = block.view(samples.dtype).reshape(samples.shape)
        if not on_device:
            return
        self.array = samples[:0]
        try:
            self.address = driver.allocate(samples.nbytes)
            stream, done = driver.stream(), driver.event(blocking=True)
            driver.copy(self.address, self._shared.address, samples.nbytes, stream)
            driver.record(done, stream)
            driver.synchronize(done)
            driver.destroy_event(done)
            driver.destroy_stream(stream)
        finally:
            _give_back(driver, self._shared)

    def close(self) -> None:
        """Let go of the memory. Nothing reads it any more."""
        if self.on_device:
            self._driver.free(self.address)
        else:
            _give_back(self._driver, self._shared)


class _Shared:
    """A pinned copy of an array, and how many use it."""

    def __init__(self, driver: Driver, samples: Array, key: _Key) -> None:
        # The array is kept: while it lives, no other can have its address.
        self.samples, self.key = samples, key
        self.users = 1
        with on_node(driver.node):
            self.address = driver.pin(samples.nbytes)
            block = pinned_bytes(self.address, samples.nbytes)
            np.copyto(block, samples.reshape(-1).view(np.uint8))


_Key = tuple[int, int, int | None, type]
_lock = threading.Lock()
_all: dict[_Key, _Shared] = {}


def _take(driver: Driver, samples: Array) -> _Shared:
    address = samples.__array_interface__["data"][0]
    key = (address, samples.nbytes, driver.node, type(driver))
    with _lock:
        found = _all.get(key)
        if found is None:
            found = _all[key] = _Shared(driver, samples, key)
        else:
            found.users += 1
    return found


def _give_back(driver: Driver, shared: _Shared) -> None:
    with _lock:
        shared.users -= 1
        if shared.users:
            return
        del _all[shared.key]
    driver.unpin(shared.address)
