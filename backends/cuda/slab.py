"""All loaded samples in pinned, page-aligned blocks of host memory, shared by near engines.

There is a block for each input of the model. Samples are read straight into it (`PinnedMemory`),
so that they lie in memory once; an array from elsewhere is copied into one. The engines of a
process on GPUs of one NUMA node use the same blocks.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from backends.cuda.driver import DEVICES
from backends.cuda.errors import CudaError
from backends.cuda.held import Held
from backends.cuda.numa import on_node
from backends.cuda.pinned import pinned_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array
    from backends.cuda.driver import Driver

    # Where a block is: the kind of driver, and the NUMA node.
    Near = tuple[type, int | None]


class PinnedMemory:
    """Pinned memory that samples are read into. See `backends.base.SampleMemory`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.near = _near(driver)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """See `SampleMemory.allocate`.

        Raises:
            OutOfMemoryError: no more memory can be pinned.
        """
        size = prod(shape) * dtype.itemsize
        with DEVICES:
            self._driver.use()
            block = _Block(self._driver, size)
        with _lock:
            _blocks[block.address] = block
        return block.bytes.view(dtype).reshape(shape)

    def free(self, block: Array) -> None:
        """See `SampleMemory.free`."""
        # A failed device also refuses to free memory.
        with DEVICES, suppress(CudaError):
            _blocks[_address(block)].let_go()


class Slab:
    """Samples that a device can read, a block an input.

    Attributes:
        count: samples.
        addresses: of row 0 of each input.
        arrays: the samples in pinned memory, [count, ...] each; empty when they are on the device.
    """

    def __init__(self, driver: Driver, samples: Sequence[Array], *, on_device: bool) -> None:
        self.count = len(samples[0])
        self._parts: list[_Part] = []
        try:
            for array in samples:
                self._parts.append(_Part(driver, array, on_device=on_device))
        except BaseException:
            self.close()
            raise
        self.addresses = tuple(part.address for part in self._parts)
        self.arrays = tuple(part.array for part in self._parts)

    def close(self) -> None:
        """Release the memory. Nothing reads it any more."""
        with ExitStack() as left:  # each is closed, even if a failed device refuses one
            while self._parts:
                left.callback(self._parts.pop().close)


class _Part:
    """The samples of one input."""

    def __init__(self, driver: Driver, samples: Array, *, on_device: bool) -> None:
        self._driver = driver
        self._block: _Block | None = _take(driver, samples)
        self.address = self._block.address
        self.array = self._block.bytes.view(samples.dtype).reshape(samples.shape)
        if not on_device:
            return
        self.array = samples[:0]
        try:
            self.address = _copied(driver, self._block.address, samples.nbytes)
        finally:
            self._block.let_go()
            self._block = None

    def close(self) -> None:
        if self._block is None:
            self._driver.free(self.address)
        else:
            self._block.let_go()


class _Block:
    """Pinned bytes with a count of users; the driver that pinned them frees them after the last.

    Attributes:
        source: the array that they are a copy of; None: they were read in. The array is kept:
            while it lives, no other can have its address.
    """

    def __init__(self, driver: Driver, size: int, source: Array | None = None) -> None:
        self._driver = driver
        self.near = _near(driver)
        self.source = source
        self.users = 1
        with on_node(driver.node):
            self.address = driver.pin(size)
            self.bytes = pinned_bytes(self.address, size)
            if source is not None:
                np.copyto(self.bytes, source.reshape(-1).view(np.uint8))

    def let_go(self) -> None:
        """One user less."""
        with _lock:
            self.users -= 1
            if self.users:
                return
            if self.source is None:
                del _blocks[self.address]
            else:
                del _copies[_key(self.near, self.source)]
        self._driver.use()
        self._driver.unpin(self.address)


_Key = tuple["Near", int, int]
_lock = threading.Lock()
_blocks: dict[int, _Block] = {}  # that samples were read into, by address
_copies: dict[_Key, _Block] = {}  # of arrays from elsewhere


def _take(driver: Driver, samples: Array) -> _Block:
    """Return the block that holds `samples`, near the driver's device, with one more user."""
    near = _near(driver)
    with _lock:
        found = _blocks.get(_address(samples))
        if found is None or found.near != near:
            found = _copies.get(_key(near, samples))
        if found is None:
            found = _Block(driver, samples.nbytes, samples)
            _copies[_key(near, samples)] = found
        else:
            found.users += 1
    return found


def _near(driver: Driver) -> Near:
    return type(driver), driver.node


def _key(near: Near, samples: Array) -> _Key:
    return near, _address(samples), samples.nbytes


def _address(samples: Array) -> int:
    return int(samples.__array_interface__["data"][0])


def _copied(driver: Driver, address: int, size: int) -> int:
    """Return the address on the device of a copy of pinned bytes."""
    used, made = Held(driver), Held(driver)
    try:
        target = made.keep(driver.allocate(size), driver.free)
        stream = used.keep(driver.stream(), driver.destroy_stream)
        done = used.keep(driver.event(blocking=True), driver.destroy_event)
        driver.copy(target, address, size, stream)
        driver.record(done, stream)
        driver.synchronize(done)
        made.hand_over()
    finally:
        used.close()
        made.close()
    return target
