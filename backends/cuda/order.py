"""The rows that the device gathers: the host writes them to pinned memory, a kernel reads them.

So one CUDA graph serves every batch. Knows no batches in flight and no streams.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from backends.cuda.pinned import pinned_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

# A gather uses just enough blocks to fill PCIe, so that the model keeps its SMs: bytes in flight,
# bytes of one block, and limits of the number of blocks.
GATHER_BYTES, BLOCK_BYTES = 1 << 17, 1 << 15
LEAST_BLOCKS, MOST_BLOCKS = 4, 64
# Address of row 0 and count, as uint64; then the row numbers, as int32.
HEAD_BYTES = 16


def order_bytes(most_rows: int) -> int:
    """Return the pinned memory that an order takes."""
    return HEAD_BYTES + 4 * most_rows


def gather_blocks(row_bytes: int) -> int:
    """Return how many blocks of threads gather rows of this size."""
    blocks = GATHER_BYTES // max(1, min(row_bytes, BLOCK_BYTES))
    return min(max(blocks, LEAST_BLOCKS), MOST_BLOCKS)


class GatherOrder:
    """Rows of one block of samples.

    Args:
        address: of `order_bytes(most_rows)` bytes of pinned memory, which outlive the order.
        most_rows: room for so many.
        row_bytes: a multiple of backends.cuda.ptx.UNIT_BYTES.
    """

    __slots__ = ("_head", "_rows", "address", "blocks", "row_bytes")

    def __init__(self, address: int, most_rows: int, row_bytes: int) -> None:
        self.address, self.row_bytes = address, row_bytes
        self.blocks = gather_blocks(row_bytes)
        self._head = (ctypes.c_uint64 * 2).from_address(address)
        self._rows = pinned_bytes(address + HEAD_BYTES, 4 * most_rows).view(np.int32)

    def write(self, base: int, rows: Sequence[int]) -> None:
        """Request these rows of the block at `base`; the previous gather is done.

        Args:
            base: address of row 0, on the host or the device.
            rows: row numbers.
        """
        count = len(rows)
        self._head[0], self._head[1] = base, count
        self._rows[:count] = rows

    def read(self) -> tuple[int, list[int]]:
        """Return the base and the row numbers: what the kernel on the device sees."""
        base, count = self._head
        return base, self._rows[:count].tolist()
