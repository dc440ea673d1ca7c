"""Which node gets the next sample: the whole policy of the Query Dispatch Library.

It never batches: every sample is sent by itself, as soon as a node has room for it. Pure, with the
time as an argument; counts samples, and sees neither ids nor nodes.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from sut.record.trace import Close
from sut.serve.policy import Assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

# Before anything was measured, all nodes count as equal.
_UNKNOWN_NS = 1.0


class NodePolicy:
    """See sut.serve.choosing.BatchPolicy. A node takes so many samples before it must answer.

    Args:
        rooms: how many, of each node.
    """

    __slots__ = ("_credit", "_flushed", "_flying", "_ns", "_queries", "_rooms", "_turn", "_turns")

    def __init__(self, rooms: Sequence[int]) -> None:
        self._rooms = list(rooms)  # 0: the node is lost
        self._flying = [0] * len(rooms)
        self._ns = [_UNKNOWN_NS] * len(rooms)
        self._turns = [0] * len(rooms)  # when each had its last sample
        self._turn = 0
        self._credit = sum(rooms)
        self._queries: deque[list[int]] = deque()  # [arrival_ns, samples left], oldest first
        self._flushed = False

    @property
    def has_credit(self) -> bool:
        """Whether any node has room for a sample."""
        return self._credit > 0

    @property
    def has_workers(self) -> bool:
        """Whether any node is left."""
        return any(self._rooms)

    @property
    def is_drained(self) -> bool:
        """Whether every sample of a flushed series has been sent."""
        return self._flushed and not self._queries

    def measured(self, node: int, sample_ns: float) -> None:
        """Note how long a node takes for a sample, as one of many."""
        self._ns[node] = sample_ns

    def arrive(self, now_ns: int, samples: int) -> None:
        """A query of `samples` arrived."""
        self._queries.append([now_ns, samples])
        self._flushed = False

    def flush(self) -> None:
        """The last query of a series arrived. No sample waits for another one here."""
        self._flushed = True

    def next_batch(self, now_ns: int) -> Assignment | None:
        """Give the oldest sample to the node that should answer first; None: there is no room."""
        if not self._queries or not self._credit:
            return None
        node = self._reserved()
        oldest = self._queries[0]
        oldest[1] -= 1
        if not oldest[1]:
            self._queries.popleft()
        return Assignment(node, 1, oldest[0], Close.FULL)

    def next_again(self, now_ns: int, samples: int) -> tuple[int, int] | None:
        """Give a sample of a lost node to another."""
        return (self._reserved(), 1) if self._credit else None

    def due_ns(self, now_ns: int) -> int | None:
        """Nothing is due without an event."""
        return None

    def finish(self, worker_index: int, now_ns: int, service_ns: float) -> None:
        """A sample of a node was answered."""
        if self._rooms[worker_index]:
            self._flying[worker_index] -= 1
            self._credit += 1

    def lose(self, worker_index: int) -> bool:
        """Give a node no further sample; False: it was lost before."""
        room = self._rooms[worker_index]
        if not room:
            return False
        self._credit -= room - self._flying[worker_index]
        self._rooms[worker_index] = self._flying[worker_index] = 0
        return True

    def _reserved(self) -> int:
        """Reserve room at the node that should answer first; among equals, the one idle longest.

        What is on its way to a node is answered before the next sample, at the node's rate.
        """
        flying, rooms, each_ns, turns = self._flying, self._rooms, self._ns, self._turns
        best, least = -1, (inf, 0)
        for node, room in enumerate(rooms):
            if flying[node] < room:
                answered = (flying[node] + 1) * each_ns[node], turns[node]
                if answered < least:
                    best, least = node, answered
        self._turn += 1
        turns[best] = self._turn
        flying[best] += 1
        self._credit -= 1
        return best
