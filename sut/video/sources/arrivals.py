"""When a frame of a sender with a clock was due: a backlog in the connection must not hide.

A reader that is slower than its sender finds frames that have waited in the socket. When they are
read says nothing; their own times do. The frame that was held back least, of the last ten seconds,
says how the sender's clock and ours lie to each other. Longer than that, clocks may drift, and a
sender may pause.
"""

from __future__ import annotations

from collections import deque

OVER_NS = 10_000_000_000
_S = 1e9


class Arrivals:
    """The frames of one stream, in their order."""

    def __init__(self) -> None:
        # (when it came, that minus its own time): ascending in both, the first one is the least.
        self._least: deque[tuple[int, int]] = deque()

    def due_ns(self, pts_s: float, came_ns: int) -> int:
        """Return when a frame would have come had nothing held it back; at the latest `came_ns`.

        Args:
            pts_s: its time by the sender's clock, in s.
            came_ns: when it was read, on time.monotonic_ns().
        """
        least, offset_ns = self._least, came_ns - int(pts_s * _S)
        while least and least[-1][1] >= offset_ns:
            least.pop()
        least.append((came_ns, offset_ns))
        while least[0][0] < came_ns - OVER_NS:
            least.popleft()
        return came_ns - (offset_ns - least[0][1])
