"""Runs the batches of a device in order and reports each, for thread and process workers.

A blocking engine runs on the calling thread. With an asynchronous engine the calling thread only
launches, and a second thread waits for the batches in order: the next batch is on the device before
the previous one is collected. Knows no response ids and no pipes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sut.serve.workers.failures import describe, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.serve.responses import Responses
    from sut.serve.workers.executor import Executor


class Work(Protocol):
    """What a lane needs to know about a batch."""

    indices: list[int]


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one batch.

    Attributes:
        responses: None if it failed.
        started_ns: when the engine began, on time.monotonic_ns().
        finished_ns: when the outputs were ready.
        error: the exception in one line, or empty.
        traceback: its traceback, or empty.
    """

    responses: Responses | None
    started_ns: int
    finished_ns: int
    error: str = ""
    traceback: str = ""


class Lane(Generic[W]):
    """One executor and its batches in flight."""

    def __init__(
        self,
        executor: Executor,
        report: Callable[[W, Outcome], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        self._executor = executor
        self._report = report
        self._on_death = on_death  # hears of it when the collecting thread ends too early
        self._free: SimpleQueue[int] = SimpleQueue()
        self._flying: SimpleQueue[tuple[int, W] | None] = SimpleQueue()
        self._collector: threading.Thread | None = None
        self.run = self._launch if executor.slots else self._run
        """Run one batch, or start it; `report` is called for it exactly once."""

    def open(self) -> None:
        """Start the second thread, if the engine is asynchronous."""
        if self._executor.slots:
            for slot in range(self._executor.slots):
                self._free.put(slot)
            self._collector = threading.Thread(target=self._collect, name="collector", daemon=True)
            self._collector.start()

    def close(self) -> None:
        """Wait for the batches in flight."""
        if self._collector is not None:
            self._flying.put(None)
            self._collector.join()

    def _run(self, work: W) -> None:
        started_ns = time.monotonic_ns()
        try:
            responses = self._executor.run(work.indices)
        except BaseException as error:  # noqa: BLE001 - no batch may stay without an answer
            self._report(work, failed(error, started_ns))
            return
        self._report(work, Outcome(responses, started_ns, time.monotonic_ns()))

    def _launch(self, work: W) -> None:
        slot = self._free.get()
        try:
            self._executor.launch(slot, work.indices)
        except BaseException as error:  # noqa: BLE001 - no batch may stay without an answer
            self._free.put(slot)
            self._report(work, failed(error, time.monotonic_ns()))
            return
        self._flying.put((slot, work))

    def _collect(self) -> None:
        try:
            self._collect_all()
        except BaseException as error:  # noqa: BLE001 - who waits for a batch must hear of it
            self._on_death(error)

    def _collect_all(self) -> None:
        while (flying := self._flying.get()) is not None:
            slot, work = flying
            try:
                outcome = Outcome(*self._executor.wait(slot, work.indices))
            except BaseException as error:  # noqa: BLE001 - no batch may stay without an answer
                outcome = failed(error, time.monotonic_ns())
            self._free.put(slot)
            self._report(work, outcome)


def failed(error: BaseException, started_ns: int) -> Outcome:
    """Return the outcome of a batch that raised. Call it in the `except` block."""
    raised = describe(error)
    return Outcome(None, started_ns, time.monotonic_ns(), one_line(raised), raised.traceback)
