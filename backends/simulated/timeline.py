"""When a device starts and finishes its batches: pure, with the time as an argument.

Knows no thread and no clock: the simulated backend drives it with the real one, the model of the
queue with a virtual one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    # Until when the copy engine in, the device and the copy engine out are busy, in ns.
    Busy: TypeAlias = tuple[int, int, int]


class Times(NamedTuple):
    """Of one batch, in ns.

    Attributes:
        started_ns: the device began to compute.
        finished_ns: it had computed the batch; the next one may start.
        done_ns: the answers are back in host memory.
    """

    started_ns: int
    finished_ns: int
    done_ns: int


class Tail(NamedTuple):
    """Batches that take longer, evenly spread: one in `every` takes `service_ns` by its size."""

    every: int
    service_ns: Sequence[float]


class Timeline:
    """A device with a copy engine each way and one queue in order, as a GPU with one stream.

    A batch starts when it is on the device and the one before has finished, so that nothing that
    the host does late is ever added to the device's own time.

    Args:
        service_ns: S(b) by batch size, from 0.
        factors: what S(b) is multiplied by, batch by batch; None for 1.
        copy_in_ns: time to bring one sample to the device.
        copy_out_ns: time to bring one answer back.
        tail: batches that take longer now and then; None for none.
        turnaround_ns: what S(b) already has of the host, from one answer to the next batch: one
            that comes within this time starts when the one before had finished.
    """

    __slots__ = (
        "_copy_in_ns", "_copy_out_ns", "_factors", "_free_ns", "_in_ns", "_ns", "_out_ns", "_tail",
        "_turnaround_ns", "_until_tail",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what a device is
        self,
        service_ns: Sequence[float],
        factors: Iterator[float] | None = None,
        copy_in_ns: float = 0.0,
        copy_out_ns: float = 0.0,
        tail: Tail | None = None,
        turnaround_ns: float = 0.0,
    ) -> None:
        self._ns = service_ns
        self._factors = factors
        self._copy_in_ns = copy_in_ns
        self._copy_out_ns = copy_out_ns
        self._tail = tail
        self._turnaround_ns = turnaround_ns
        self._until_tail = 1
        # Until when each of the three is busy.
        self._in_ns = self._free_ns = self._out_ns = 0

    @property
    def busy(self) -> Busy:
        """Until when each part of the device is busy; a shared device sets it before each batch."""
        return self._in_ns, self._free_ns, self._out_ns

    @busy.setter
    def busy(self, busy: Busy) -> None:
        self._in_ns, self._free_ns, self._out_ns = busy

    def submit(self, now_ns: int, batch: int) -> Times:
        """Add a batch of `batch` samples; return when it will be done."""
        ready_ns = now_ns
        if self._copy_in_ns:
            begin_ns = now_ns if now_ns > self._in_ns else self._in_ns
            ready_ns = self._in_ns = begin_ns + int(self._copy_in_ns * batch)
        service_ns = self._ns[batch]
        if self._tail is not None:
            self._until_tail -= 1
            if not self._until_tail:
                self._until_tail = self._tail.every
                service_ns = self._tail.service_ns[batch]
        if self._factors is not None:
            service_ns *= next(self._factors)
        is_late = ready_ns > self._free_ns + self._turnaround_ns
        started_ns = ready_ns if is_late else self._free_ns
        self._free_ns = done_ns = finished_ns = started_ns + int(service_ns)
        if self._copy_out_ns:
            begin_ns = finished_ns if finished_ns > self._out_ns else self._out_ns
            done_ns = self._out_ns = begin_ns + int(self._copy_out_ns * batch)
        return Times(started_ns, finished_ns, done_ns)
