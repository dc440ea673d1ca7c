"""What becomes of the batches of a lost worker, where a load may go on without it.

Knows batches and counts; the policy says where they go, the dispatcher sends them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.serve.batch import Batch

# A batch that was lost with so many workers may be what ends them: no other one gets it.
MOST_WORKERS = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that a run went on without.

    Attributes:
        worker: its index.
        message: how it was lost; begins with its name.
        at_ns: when that was known, on time.monotonic_ns().
        batches: that it had, and others got.
        samples: of these batches.
    """

    worker: int
    message: str
    at_ns: int
    batches: int = 0
    samples: int = 0


class Losses:
    """The batches that wait for another worker. Whoever holds the dispatcher's lock uses it.

    Args:
        on_loss: called for each lost worker that the run goes on without.
    """

    def __init__(self, on_loss: Callable[[Loss], None]) -> None:
        self._on_loss = on_loss
        self.waiting: deque[Batch] = deque()
        self.sent = 0
        """Batches that went to another worker."""

    def take_back(self, in_flight: dict[int, Batch], loss: Loss, *, is_last: bool) -> str | None:
        """Let the batches of a lost worker wait for another; return why that cannot be, or None.

        Args:
            in_flight: batches by their number; those of the lost worker are removed.
            loss: which worker.
            is_last: no other one is left.
        """
        flying = [batch for batch in in_flight.copy().values() if batch.worker == loss.worker]
        # Its last answer may come at this moment, on another thread.
        batches = [batch for batch in flying if in_flight.pop(batch.number, None) is not None]
        self.waiting.extend(batches)
        if is_last:
            return f"{loss.message}. No worker is left."
        for batch in batches:
            batch.losses += 1
            if batch.losses >= MOST_WORKERS:
                return (
                    f"{loss.message}. Batch {batch.position} was lost with {batch.losses} workers; "
                    "it may be what ends them."
                )
        samples = sum(len(batch.ids) for batch in batches)
        self._on_loss(replace(loss, batches=len(batches), samples=samples))
        return None

    def next(self, samples: int, batches: int) -> tuple[Batch, bool]:
        """Return the first of the waiting batches to send, or its first samples.

        A late answer of the lost worker finds no batch, because each sending has a new number.

        Args:
            samples: that the worker takes.
            batches: that there are so far.

        Returns:
            What to send, and whether a rest waits, as one more batch.
        """
        lost = self.waiting.popleft()
        count = len(lost.ids)
        if is_part := samples < count:
            self.waiting.appendleft(lost.part(batches, batches, samples, count))
        batch = lost.part(batches + is_part + self.sent, lost.position, 0, samples)
        self.sent += 1
        return batch, is_part
