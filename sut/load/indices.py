"""Which samples a request names: all that are loaded, in turn."""

from __future__ import annotations


class Indices:
    """Data set indices 0, 1, ... up to the last loaded one, and again from 0.

    Args:
        samples: how many are loaded.
        most: the most that one call of `next` asks for.
    """

    def __init__(self, samples: int, most: int) -> None:
        self._samples = samples
        # Long enough for any slice, so that none is put together from two.
        self._list = [k % samples for k in range(samples + most)]
        self._next = 0

    def next(self, count: int) -> list[int]:
        """Return the next `count`; the caller may keep and change the list."""
        start = self._next
        self._next = (start + count) % self._samples
        return self._list[start : start + count]
