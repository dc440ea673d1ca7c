"""Systems under test for loads: a test answers them batch by batch, or they answer at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sut.serve.dispatcher import Failure, Recorder


class Steps:
    """Keeps what was issued until the test answers it; samples are answered in order."""

    def __init__(self) -> None:
        self.waiting = 0
        self.queries: list[int] = []
        self.indices: list[int] = []
        self.answered = self.batches = 0
        self.failure: Failure | None = None
        self.waiting_since_ns: int | None = None
        self.completed = (0, 0)

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        assert len(ids) == len(indices) == len(set(ids))
        self.queries.append(len(ids))
        self.indices += indices
        self.waiting += len(ids)

    def flush_queries(self) -> None:
        """Nothing waits here."""

    def answer(self, load: Recorder, samples: int, at_ns: int) -> None:
        """Complete the next samples as one batch."""
        first, number = self.answered, self.batches
        self.answered += samples
        self.batches += 1
        self.waiting -= samples
        load.batch(number, first, samples, 0, 0, at_ns, at_ns, at_ns, at_ns, at_ns)


class AtOnce(Steps):
    """Answers every query before it returns, as an inline worker does."""

    def __init__(self, load_ends_after: int) -> None:
        super().__init__()
        self.load: Recorder
        self.stop_at = load_ends_after

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        super().issue_query(ids, indices)
        if self.batches == self.stop_at:
            self.load.stop()  # type: ignore[attr-defined]  # the load is its own recorder
        self.answer(self.load, len(ids), self.batches)


class NoTrace:
    """Records nothing."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """See Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See Recorder."""
