"""The responses of one batch: one block of bytes, with a record for each sample.

Knows only bytes. The task of the benchmark makes them, and LoadGen copies them.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Responses(NamedTuple):
    """The answers of one batch, in the order of its samples.

    A tuple, because each batch makes one while the caches are full of the model's weights. A frozen
    dataclass takes 10 us more there.

    Attributes:
        block: all records, one after the other, C-contiguous. Alive as long as this object.
        record_bytes: bytes of each record if all are equal, else 0.
        sizes: bytes of each record if they differ, else empty.
    """

    block: NDArray[np.generic]
    record_bytes: int
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, results: NDArray[np.generic] | Sequence[NDArray[np.generic]]) -> Responses:
        """Wrap the output of a postprocess: [n, ...] of equal records, or n arrays of any size."""
        if isinstance(results, np.ndarray):
            block = results if results.flags.c_contiguous else np.ascontiguousarray(results)
            return cls(block, block.nbytes // len(block))
        sizes = tuple(array.nbytes for array in results)
        return cls(np.frombuffer(b"".join(a.tobytes() for a in results), np.uint8), 0, sizes)

    def of_those(self, wanted: Sequence[bool]) -> Responses:
        """Return the records of some samples, of each whether it is one of them."""
        sizes = self.sizes or [self.record_bytes] * len(wanted)
        records = np.split(self.block.reshape(-1).view(np.uint8), np.cumsum(sizes)[:-1])
        return Responses.of(list(compress(records, wanted)))
