"""Which frames of a stream are inferred: one in k + 1, the first among them.

An interval of k skips k frames after each inferred one, as DeepStream's `interval` does. The frames
in between belong to the tracker.
"""

from __future__ import annotations


def is_inferred(number: int, interval: int) -> bool:
    """Say whether a stream's frame is inferred.

    All streams infer frames of the same numbers, so a batch across streams fills.

    Args:
        number: the frame's place in its stream, from 0.
        interval: frames skipped after each inferred one; 0 skips none.
    """
    return number % (interval + 1) == 0


def inferred_frames(frames: int, interval: int) -> int:
    """Return how many of a stream's first frames are inferred: ceil(frames / (interval + 1))."""
    return -(-frames // (interval + 1))
