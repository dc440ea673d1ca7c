"""A picture made smaller by a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backends.cuda.driver import Raster
from backends.cuda.pinned import pinned_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.cuda.driver import Driver


def shrunk(driver: Driver, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] uint8 of another size: width and height."""
    height, width, _ = image.shape
    small_bytes = size[0] * size[1] * 3
    host = driver.pin(max(image.nbytes, small_bytes))
    whole, small = driver.allocate(image.nbytes), driver.allocate(small_bytes)
    stream, done = driver.stream(), driver.event(blocking=True)
    pinned_bytes(host, image.nbytes)[:] = image.reshape(-1)

    driver.copy(whole, host, image.nbytes, stream)
    driver.shrink(Raster(whole, width, height), Raster(small, *size), stream)
    driver.copy(host, small, small_bytes, stream)
    driver.record(done, stream)
    driver.synchronize(done)

    found = np.array(pinned_bytes(host, small_bytes)).reshape(size[1], size[0], 3)
    driver.free(whole)
    driver.free(small)
    driver.unpin(host)
    return found
