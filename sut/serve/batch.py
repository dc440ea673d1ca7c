"""One batch on its way from the queue to a worker and back."""

from __future__ import annotations

from sut.record.trace import Close


class Batch:
    """Samples that run together. Owned by one worker from `submit` to `finished`.

    `number` is of this sending, `position` of the batch among all: they differ after a loss.
    """

    __slots__ = (
        "closed_ns",
        "finished_ns",
        "first_sample",
        "ids",
        "indices",
        "losses",
        "number",
        "oldest_ns",
        "position",
        "started_ns",
        "why",
        "worker",
    )

    def __init__(
        self, number: int, first_sample: int, ids: list[int], indices: list[int], worker: int
    ) -> None:
        self.number = self.position = number
        self.first_sample = first_sample
        self.ids = ids
        self.indices = indices
        self.worker = worker
        self.why = self.losses = 0
        self.oldest_ns = self.closed_ns = self.started_ns = self.finished_ns = 0

    def part(self, number: int, position: int, start: int, end: int) -> Batch:
        """Return its samples `start` to `end` as a batch that another worker gets."""
        ids, indices = self.ids[start:end], self.indices[start:end]
        part = Batch(number, self.first_sample + start, ids, indices, self.worker)
        part.position, part.why = position, Close.LOST.value
        part.oldest_ns, part.losses = self.oldest_ns, self.losses
        return part
