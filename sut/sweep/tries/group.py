"""One try: some processes that start at the same moment, watched until each has an outcome.

    with TryGroup(requests, limit, times) as group:
        if group.start():          # all are at their barrier, or one has failed
            ...                    # they work; group.stop() tells their acts that it is enough
        outcomes = group.outcomes()

Nothing here raises for what an engine does: full memory, a crash and a hang are outcomes.
"""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

from sut.base.errors import SutError
from sut.base.process import exit_words
from sut.base.signals import Stopped
from sut.base.steps import say_step
from sut.base.subprocess_call import last_line
from sut.record.run_folder import LOG_FILE
from sut.run.supervisor import EndedSilently, Supervisor
from sut.sweep.tries.outcome import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sut.sweep.tries.attempt import TryRequest
    from sut.sweep.tries.limit import Limit

    Launch = Callable[[TryRequest, Sequence[str]], "Process"]

MODULE = "sut.sweep.tries.attempt"
OPENING = "opening"
# Faults that a device that is gone would explain.
_UNEXPLAINED = frozenset({Kind.FAILED, Kind.HUNG, Kind.SIGNALLED})
# How often memory and time are looked at.
_LOOK_S = 0.005
# All processes have read the line by then, and start together.
_START_AHEAD_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """How long a try may take, in s.

    Attributes:
        open_s: until all engines are open and at the barrier; compilers take minutes.
        run_s: from the barrier to the answer.
    """

    open_s: float = 300.0
    run_s: float = 60.0


class Process(Protocol):
    """A process of a try; see sut.run.supervisor.Supervisor."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def interrupted(self) -> signal.Signals | None:
        """A signal that this process received since it started the other."""

    @property
    def stopped(self) -> str | None:
        """Why `each` of `wait_for` ended it."""

    def wait_for(self, event: str, each: Callable[[], str | None], step_s: float) -> bool:
        """Wait for an event; False: a signal or `each` ended the process."""

    def event(self, name: str) -> dict[str, object]:
        """Return an event that arrived, or an empty one."""

    def send(self, samples: object) -> None:
        """Send a line."""

    def __enter__(self) -> Self:
        """Start it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""


def supervised(request: TryRequest, before: Sequence[str]) -> Process:
    """Return a new process."""
    return Supervisor(request, MODULE, before)


class TryGroup:
    """The processes of one try. Use it in a `with`: leaving it ends them all.

    Args:
        requests: one a process, each with a folder of its own.
        limit: on their memory together; closed by its owner.
        times: how long it may take.
        is_gone: asked for a device after a fault that names no cause; returns why it is gone.
        launch: gets a request and the command that it begins with; returns its process. See
            WarmStart.launch.
    """

    def __init__(
        self,
        requests: Sequence[TryRequest],
        limit: Limit,
        times: Times | None = None,
        is_gone: Callable[[str], str | None] = lambda device: None,
        launch: Launch = supervised,
    ) -> None:
        self._requests = requests
        self._limit = limit
        self._times = times or Times()
        self._is_gone, self._launch = is_gone, launch
        self._processes: list[Process] = []
        self._hold = contextlib.ExitStack()
        self._found: dict[int, Outcome] = {}
        self._ended_as, self._awaited = Kind.HUNG, 0

    def __enter__(self) -> Self:
        """Start the processes."""
        self._start_s = time.monotonic()
        self._until_s, self._what = self._start_s + self._times.open_s, OPENING
        with contextlib.ExitStack() as hold:
            for request in self._requests:
                process = self._launch(request, self._limit.before())
                self._processes.append(hold.enter_context(process))
            self._hold = hold.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""
        self._hold.close()

    @property
    def pids(self) -> list[int]:
        """The processes' numbers, in the order of the requests."""
        return [process.pid for process in self._processes]

    def start(self) -> bool:
        """Wait until all are at the barrier, and start them; False: one has ended before.

        Raises:
            Stopped: a signal came.
        """
        for index in range(len(self._processes)):
            self._wait(index, "ready")
            if self._found:
                return False
        start_ns = time.monotonic_ns() + _START_AHEAD_NS
        self._until_s, self._what = time.monotonic() + self._times.run_s, "running"
        self._send(start_ns)
        return True

    def stop(self) -> None:
        """Tell the acts that it is enough."""
        self._send("stop")

    def event(self, index: int, name: str) -> dict[str, object]:
        """Return an event of an act's own, as far as it was seen; see Attempt.tell."""
        return self._processes[index].event(name)

    def outcomes(self) -> list[Outcome]:
        """Wait for what becomes of each process.

        Once one has a fault, nobody waits for those that have not answered by then.

        Raises:
            Stopped: a signal came.
        """
        for index in range(len(self._processes)):
            if index not in self._found and not self._has_fault():
                self._wait(index, "done")
        return [
            self._found.get(index) or self._answered(index) or Outcome(Kind.STOPPED)
            for index in range(len(self._processes))
        ]

    def _has_fault(self) -> bool:
        return any(outcome.kind is not Kind.OK for outcome in self._found.values())

    def _wait(self, index: int, event: str) -> None:
        """Wait for an event of one process; its end is its outcome."""
        process, self._awaited = self._processes[index], index
        try:
            reached = process.wait_for(event, self._why_end, _LOOK_S)
        except SutError as error:
            self._found[index] = self._answered(index) or self._fault(index, error)
            return
        for other in self._processes:
            if other.interrupted is not None:
                raise Stopped(other.interrupted)
        if not reached:
            outcome = Outcome(self._ended_as, process.stopped or "")
            self._found[index] = self._seen_gone(index, outcome)
        elif event == "done":
            answered = self._answered(index)
            assert answered is not None, "it is there"
            self._found[index] = self._seen_gone(index, answered)

    def _why_end(self) -> str | None:
        """Return why the try must end."""
        say_step(self._step())
        if any(process.interrupted is not None for process in self._processes):
            return "interrupted"
        if time.monotonic() > self._until_s:
            self._ended_as = Kind.HUNG
            return f"no answer after {time.monotonic() - self._start_s:.1f} s, while {self._what}"
        self._ended_as = Kind.OVER_LIMIT
        return self._limit.look(self.pids)

    def _step(self) -> str:
        """Return what is done now: while an engine opens, what it says of itself."""
        said = self._processes[self._awaited].event("opening").get("step")
        if self._what != OPENING or not said:
            return self._what
        many = len(self._processes)
        which = f"process {self._awaited + 1} of {many}: " if many > 1 else ""
        return f"{self._what}: {which}{said}"

    def _answered(self, index: int) -> Outcome | None:
        """Return what a process said of itself; None: nothing yet."""
        said = self._processes[index].event("done")
        if not said:
            return None
        told = {name: value for name, value in said.items() if name != "event"}
        return replace(msgspec.convert(told, Outcome), seconds=time.monotonic() - self._start_s)

    def _fault(self, index: int, error: SutError) -> Outcome:
        """Return the outcome of a process that ended with no answer."""
        if not isinstance(error, EndedSilently):
            return self._seen_gone(index, Outcome(Kind.FAILED, str(error)))
        code = error.ended_with
        if code == -signal.SIGKILL and self._limit.killed():
            return Outcome(Kind.OVER_LIMIT, "killed by the kernel, because memory was full")
        kind = Kind.SIGNALLED if code < 0 else Kind.FAILED
        log = Path(self._requests[index].out_dir) / LOG_FILE
        said = last_line(log.read_text("utf-8", "replace"))
        text = f"ended by {exit_words(code)}" + (f": {said}" if said else "")
        return self._seen_gone(index, Outcome(kind, text))

    def _seen_gone(self, index: int, outcome: Outcome) -> Outcome:
        """Return the outcome, or that the device vanished, which explains any fault."""
        device = self._requests[index].device
        message = outcome.message
        if outcome.kind in _UNEXPLAINED:
            why = self._is_gone(device)
            if why is not None:
                outcome, message = replace(outcome, kind=Kind.VANISHED), f"{why}; {message}"
        if message and f"device {device}" not in message:
            message = f"device {device}: {message}"
        return replace(outcome, message=message, seconds=time.monotonic() - self._start_s)

    def _send(self, what: object) -> None:
        for process in self._processes:
            with contextlib.suppress(SutError):  # it ended, which `_wait` finds out
                process.send(what)
