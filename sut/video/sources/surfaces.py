"""Decoded frames that stay on a GPU until somebody wants their pixels, as small as they are wanted.

A frame of 1920 x 1080 has 6 MB: a model that looks at 300 x 300 pixels needs 0.3 MB of it.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from backends.cuda.driver import DEVICES, Raster
from backends.cuda.errors import CudaError
from backends.cuda.held import Held
from backends.cuda.pinned import pinned_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backends.cuda.driver import Driver
    from sut.video.types import Size

_CHANNELS = 3


class Surfaces:
    """Memory for the frames of one stream. Any thread may read them, one at a time.

    Args:
        driver: of the GPU.
        size: width and height of a frame, in pixels.

    Attributes:
        stream: on which whoever decodes works, too: so its memory is read before it is used again.

    Raises:
        CudaError: the device has no stream to give.
    """

    def __init__(self, driver: Driver, size: Size) -> None:
        self._driver, self._size = driver, size
        self._held = Held(driver)
        self._lock = threading.RLock()
        driver.use()
        self.stream = self._held.keep(driver.stream(), driver.destroy_stream)
        self._done = self._held.keep(driver.event(blocking=True), driver.destroy_event)
        self._idle: deque[int] = deque()
        self._blocks, self._closed = 0, False
        # The small picture on the device, and whatever is read on the host; they grow as asked.
        self._small, self._small_bytes = 0, 0
        self._host, self._host_bytes = 0, 0

    def begin(self, frames: int) -> None:
        """Allocate memory for so many frames, and load what scales them: no frame waits for that.

        Raises:
            OutOfMemoryError: the device is full.
            CudaError: the device failed.
        """
        width, height = self._size
        self._driver.use()
        for _ in range(frames):
            self._idle.append(self._allocated(width * height * _CHANNELS))
            self._blocks += 1
        self.scaled(self._idle[0], (1, 1))

    def keep(self, address: int) -> Surface:
        """Copy a frame, [H, W, 3] uint8 on the device; its memory may be used again at once.

        Raises:
            OutOfMemoryError: the device is full.
            CudaError: the device failed.
        """
        width, height = self._size
        size = width * height * _CHANNELS
        self._driver.use()
        try:
            block = self._idle.pop()
        except IndexError:
            block = self._allocated(size)
            with self._lock:
                self._blocks += 1
        surface = Surface(self, block)
        self._driver.copy(block, address, size, self.stream)
        return surface

    def whole(self, block: int) -> NDArray[np.uint8]:
        """Return all pixels of a frame, [H, W, 3]."""
        return self._read(Raster(block, *self._size))

    def scaled(self, block: int, size: Size) -> NDArray[np.uint8]:
        """Return a frame of this size, [h, w, 3]; each pixel is the mean of what it covers."""
        width, height = size
        needs = width * height * _CHANNELS
        with self._lock:
            self._driver.use()
            if needs > self._small_bytes:
                self._small = self._held.keep(self._allocated(needs), self._driver.free)
                self._small_bytes = needs
            small = Raster(self._small, width, height)
            self._driver.shrink(Raster(block, *self._size), small, self.stream)
            return self._read(small)

    def give_back(self, block: int) -> None:
        """Take a frame's memory back: nobody needs it any more. Takes no lock during a play."""
        self._idle.append(block)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Free the memory; that of frames in use goes with the last. Closing twice is allowed."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._free(self._idle.pop())
                self._blocks -= 1
            if not self._blocks:
                self._held.close()

    def _read(self, picture: Raster) -> NDArray[np.uint8]:
        size = picture.width * picture.height * _CHANNELS
        driver = self._driver
        with self._lock:
            driver.use()
            if size > self._host_bytes:
                with DEVICES:
                    self._host = self._held.keep(driver.pin(size), driver.unpin)
                self._host_bytes = size
            driver.copy(self._host, picture.address, size, self.stream)
            driver.record(self._done, self.stream)
            driver.synchronize(self._done)
            read = pinned_bytes(self._host, size)
            return read.reshape(picture.height, picture.width, _CHANNELS).copy()

    def _allocated(self, size: int) -> int:
        with DEVICES:
            return self._driver.allocate(size)

    def _free(self, block: int) -> None:
        with suppress(CudaError), DEVICES:  # a device that failed refuses this too
            self._driver.use()
            self._driver.free(block)


class Surface:
    """A frame on the GPU; its memory goes back when nobody refers to it any more."""

    __slots__ = ("_block", "_of")

    def __init__(self, of: Surfaces, block: int) -> None:
        self._of, self._block = of, block

    def __del__(self) -> None:
        self._of.give_back(self._block)

    def whole(self) -> NDArray[np.uint8]:
        """See Surfaces.

        Raises:
            CudaError: the device failed.
        """
        return self._of.whole(self._block)

    def scaled(self, size: Size) -> NDArray[np.uint8]:
        """See Surfaces.

        Raises:
            CudaError: the device failed.
        """
        return self._of.scaled(self._block, size)
