"""Times of batches written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MS = 1_000_000


def lane(
    each_ms: float, until_ms: float, *, start_ms: float = 0.0, host_ms: float = 0.0
) -> NDArray[np.int64]:
    """Batches one after the other: launched at once, `host_ms` from the device to the thread."""
    free = start_ms + each_ms * np.arange(int((until_ms - start_ms) / each_ms))
    done = free + each_ms
    columns = [free, free, free + 0.1, free + 0.1, free + 0.1, done - host_ms, done]
    found: NDArray[np.int64] = np.rint(np.stack(columns, axis=1) * MS).astype(np.int64)
    return found


def blocking(each_ms: float, until_ms: float) -> NDArray[np.int64]:
    """The same of an engine without a clock."""
    times = lane(each_ms, until_ms)
    times[:, 1:4] = times[:, :1]
    times[:, 4:6] = 0
    return times
