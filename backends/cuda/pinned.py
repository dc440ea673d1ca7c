"""Host memory at an address, as an array."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pinned_bytes(address: int, size: int) -> NDArray[np.uint8]:
    """Return host memory as [size] uint8. It is borrowed: the address must outlive the array."""
    return np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(address)), np.uint8)
