"""What the dispatcher asks of a policy: `sut.serve.policy`, or that of samples which travel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sut.serve.policy import Assignment


class BatchPolicy(Protocol):
    """Decides which batch goes where, and when. Pure: the time is an argument."""

    @property
    def has_credit(self) -> bool:
        """Whether any worker has a free slot."""

    @property
    def has_workers(self) -> bool:
        """Whether any worker is left."""

    def arrive(self, now_ns: int, samples: int) -> None:
        """A query of `samples` arrived."""

    def flush(self) -> None:
        """The last query of a series arrived."""

    def next_batch(self, now_ns: int) -> Assignment | None:
        """Close the next batch and reserve its slot; None if there is nothing to send now."""

    def next_again(self, now_ns: int, samples: int) -> tuple[int, int] | None:
        """Reserve a slot for `samples` of a lost worker; return who takes how many of them."""

    def due_ns(self, now_ns: int) -> int | None:
        """When to call `next_batch` again without another event; None: only after an event."""

    def finish(self, worker_index: int, now_ns: int, service_ns: float) -> None:
        """The oldest batch of a worker finished after `service_ns` on its device."""

    def lose(self, worker_index: int) -> bool:
        """Give a worker no further batch, and forget those that it has; False: it was lost."""
