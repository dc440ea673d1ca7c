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
# Count, and the address of row 0 of each input, as uint64; then the row numbers, as int32.
NUMBER_BYTES = 8


def order_bytes(most_rows: int, inputs: int) -> int:
    """Return the pinned memory that an order takes."""
    return NUMBER_BYTES * (1 + inputs) + 4 * most_rows


def gather_blocks(row_bytes: int) -> int:
    """Return how many blocks of threads gather rows of this size."""
    blocks = GATHER_BYTES // max(1, min(row_bytes, BLOCK_BYTES))
    return min(max(blocks, LEAST_BLOCKS), MOST_BLOCKS)


class GatherOrder:
    """Rows of the samples: the same rows of every input.

    Args:
        address: of `order_bytes(most_rows, len(row_bytes))` bytes of pinned memory, which outlive
            the order.
        most_rows: room for so many.
        row_bytes: of each input. Only what is a multiple of backends.cuda.ptx.UNIT_BYTES can be
            gathered by the device.
    """

    __slots__ = ("_bases", "_count", "_latest", "_rows", "count_at", "row_bytes", "rows_at")

    def __init__(self, address: int, most_rows: int, row_bytes: Sequence[int]) -> None:
        self.row_bytes = tuple(row_bytes)
        self.count_at = address
        self.rows_at = address + NUMBER_BYTES * (1 + len(row_bytes))
        self._count = ctypes.c_uint64.from_address(address)
        self._bases = (ctypes.c_uint64 * len(row_bytes)).from_address(address + NUMBER_BYTES)
        self._latest: Sequence[int] = ()
        self._rows = pinned_bytes(self.rows_at, 4 * most_rows).view(np.int32)

    def base_at(self, part: int) -> int:
        """Return where the address of row 0 of an input lies."""
        return self.count_at + NUMBER_BYTES * (1 + part)

    def write(self, bases: Sequence[int], rows: Sequence[int]) -> None:
        """Request these rows of each input; the previous gather is done.

        Args:
            bases: address of row 0 of each input, on the host or the device; not changed later.
            rows: row numbers.
        """
        count = len(rows)
        self._count.value = count
        if bases is not self._latest:  # they change when other samples are bound
            self._bases[:] = list(bases)
            self._latest = bases
        self._rows[:count] = rows

    def read(self, part: int) -> tuple[int, list[int]]:
        """Return the base of an input and the row numbers: what the kernel on the device sees."""
        return self._bases[part], self._rows[: self._count.value].tolist()
