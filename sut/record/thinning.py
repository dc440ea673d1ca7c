"""Which records a full trace keeps: blocks of them, evenly spread over the run.

Records come in blocks of consecutive numbers. Room for C blocks holds the first C. After that, of
the blocks from 2^(j-1) C up to 2^j C only every 2^j-th is recorded, each in the place of an earlier
block that is no multiple of 2^j. So no record ever moves, no writer waits for another, and at any
time the multiples of the last 2^j are there, from the first block to the last. Only arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

# 1,024 batches and 4,096 queries are so long that a sample whose batch is recorded often has its
# query recorded, too.
BATCH_BLOCK, QUERY_BLOCK = 1 << 10, 1 << 12
_QUERIES_PER_BATCH = 4  # room for that many query records for each batch record
BATCH_BYTES, QUERY_BYTES = 80, 16
_BYTES_EACH = BATCH_BYTES + _QUERIES_PER_BATCH * QUERY_BYTES
# 200 MB hold 2^20 batches and 2^22 queries in 151 MB.
DEFAULT_BYTES = 200_000_000
_MOST_BATCHES = 1 << 27


@dataclass(frozen=True, slots=True)
class Room:
    """Room for records of one kind.

    Attributes:
        blocks: a power of two, and at least two.
        block: records in one.
    """

    blocks: int
    block: int

    @property
    def records(self) -> int:
        """All records."""
        return self.blocks * self.block

    def one_in(self, block: int) -> int:
        """Return of how many blocks one is recorded around `block`: 1, 2, 4 and so on."""
        return 1 << (block // self.blocks).bit_length()

    def slot(self, block: int) -> int:
        """Return the place of a recorded block."""
        blocks = self.blocks
        while block >= blocks:
            level = (block // blocks).bit_length()
            order = (block - (blocks << (level - 1))) >> level
            # The block whose place it takes: an odd multiple of half the present step.
            block = (2 * order + 1) << (level - 1)
        return block


@dataclass(frozen=True, slots=True)
class Rooms:
    """Room for the batches and queries of a trace."""

    batches: Room
    queries: Room

    @classmethod
    def of_bytes(cls, most_bytes: float | None) -> Rooms:
        """Return the largest rooms of at most so many bytes; None: no bound that a run reaches."""
        batches = 2 * BATCH_BLOCK
        while (
            batches < _MOST_BATCHES
            if most_bytes is None
            else 2 * batches * _BYTES_EACH <= most_bytes and batches < _MOST_BATCHES
        ):
            batches *= 2
        queries = _QUERIES_PER_BATCH * batches
        return cls(
            Room(batches // BATCH_BLOCK, BATCH_BLOCK), Room(queries // QUERY_BLOCK, QUERY_BLOCK)
        )


DEFAULT_ROOMS = Rooms.of_bytes(DEFAULT_BYTES)
