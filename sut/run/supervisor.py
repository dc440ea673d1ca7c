"""Starts the process of one LoadGen test, watches it, and makes sure that it ends.

Knows the events and exit codes of the trial, signals and time; not what they mean for the result.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self

import msgspec

from sut.base import ending, signals
from sut.base.environment import with_device_order
from sut.base.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    ConfigError,
    EngineError,
    SutError,
    WorkerError,
)
from sut.base.process import exit_words
from sut.base.standing import STOPPED, Standing
from sut.record.run_folder import LOG_FILE, REQUEST_FILE
from sut.run.birth import Birth, anew

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType

    from sut.config.settings import Lent, Limits
    from sut.run.birth import Begin


# A test's process that does not end within this time after SIGTERM is killed.
END_GRACE_S = 1.0
# To free the memory of its devices, a process that has closed its pipe may take a while.
_EXIT_S = 10.0
_NAME = "the test's process"
# How often a signal is looked for while the engines close.
CLOSE_STEP_S = 0.1


class Signals:
    """Records SIGINT, SIGTERM and SIGHUP inside a `with`, without raising. The first one counts."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Install the handlers. Only the main thread can; in others nothing changes."""
        if threading.current_thread() is threading.main_thread():
            self._before = signals.noted(self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the previous handlers."""
        signals.restore(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)


class EndedSilently(WorkerError):
    """A test's process ended with no result.

    Attributes:
        ended_with: its exit code; -n: signal n ended it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.ended_with = code


class ProcessRequest(Protocol):
    """What the process of a test gets; the requests of loads contain more."""

    @property
    def out_dir(self) -> str:
        """Its folder; exists."""

    @property
    def limits(self) -> Limits:
        """When it is ended if it does not go on."""

    @property
    def lent(self) -> tuple[Lent, ...]:
        """Kept worker processes."""


class Supervisor:
    """One trial process. Use it in a `with`: leaving it always ends the process.

    Args:
        request: what it gets.
        module: what it runs.
        before: a command that prepares the process and then becomes what follows it.
        begin: starts the process.
    """

    def __init__(
        self,
        request: ProcessRequest,
        module: str = "sut.run.trial",
        before: Sequence[str] = (),
        begin: Begin = anew,
    ) -> None:
        self._module = module
        self._before, self._begin = before, begin
        self._out = Path(request.out_dir)
        self._request = request
        self._events: queue.SimpleQueue[dict[str, object] | None] = queue.SimpleQueue()
        self._seen: dict[str, dict[str, object]] = {}
        self._signals = Signals()
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        """Start the process."""
        path = self._out / REQUEST_FILE
        path.write_bytes(msgspec.json.format(_encoded(self._request)) + b"\n")
        self._signals.__enter__()
        lent = [each.fd for each in self._request.lent]
        birth = Birth(self._module, str(path.resolve()), with_device_order(), self._before, lent)
        with (self._out / LOG_FILE).open("ab") as log:
            self._process = self._begin(birth, log)
        assert self._process.stdout is not None
        pipe = self._process.stdout
        self._listener = threading.Thread(target=self._listen, args=(pipe,), daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._end()
        self._signals.__exit__(kind, error, trace)

    @property
    def pid(self) -> int:
        """The process id, which is also the session of all its child processes."""
        return self._process.pid

    @property
    def interrupted(self) -> signal.Signals | None:
        """The signal received so far, or None."""
        return self._signals.received

    @property
    def stopped(self) -> str | None:
        """Why `each` of `wait_for` ended the test, or None."""
        return self._stopped

    def wait_to_open(self, event: str, each: Callable[[], str | None]) -> bool:
        """Wait for an event as `wait_for` does, but for no longer than `limits.open_s` in silence.

        Raises:
            SutError: see wait_for; or nothing was heard for too long.
        """
        limit_s = self._request.limits.open_s
        heard, heard_s = dict(self._seen), time.monotonic()

        def look() -> str | None:
            nonlocal heard, heard_s
            if heard != self._seen:
                heard, heard_s = dict(self._seen), time.monotonic()
            elif time.monotonic() - heard_s > limit_s:
                step = f" ({self.event('opening').get('step')})" if "opening" in heard else ""
                raise WorkerError(
                    f"the engines do not open: nothing was heard for {limit_s:g} s{step}; see "
                    f"{self._out / LOG_FILE}."
                )
            return each()

        return self.wait_for(event, look)

    def wait_for(self, event: str, each: Callable[[], str | None], step_s: float = 0.25) -> bool:
        """Wait for an event. False: a signal or `each` ended the test.

        Args:
            event: its name.
            each: called now and then; returns why the test must end, or None.
            step_s: the longest time between two calls of `each`.

        Raises:
            SutError: the trial reported an error, or ended without the event.
        """
        standing = Standing(self._request.limits.stopped_s)
        while event not in self._seen:
            if self._signals.received is not None:
                self._end()
                return False
            with suppress(queue.Empty):
                message = self._events.get(timeout=step_s)
                if message is None:
                    raise self._ended_silently()
                self._note(message)
            self._stopped = None if event in self._seen else each()
            if standing.too_long(self._process.pid):
                os.killpg(self._process.pid, signal.SIGKILL)  # it hears no SIGTERM
                raise WorkerError(f"{_NAME} stands still ({STOPPED}) and was killed")
            if self._stopped is not None:
                self._end()
                return False
        return True

    def send(self, samples: object) -> None:
        """Send the samples."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(samples) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended_silently() from error

    def event(self, name: str) -> dict[str, object]:
        """Return an event that arrived, or an empty one."""
        return self._seen.get(name, {})

    def _note(self, message: dict[str, object]) -> None:
        name = str(message["event"])
        self._seen[name] = message
        if name == "error":
            text = str(message["message"])
            bad_input = message["code"] == EXIT_BAD_INPUT
            raise EngineError(text) if bad_input else SutError(text)
        if name == "failed":
            raise WorkerError(str(message["message"]), str(message["text"]))

    def _ended_silently(self) -> EndedSilently:
        ending.end(self._process, _NAME, _EXIT_S)
        code = self._process.returncode
        how = "no exit code" if code is None else exit_words(code)
        return EndedSilently(
            f"{_NAME} ended with {how} and no result; see its output in {self._out / LOG_FILE}.",
            EXIT_FAILED if code is None else code,
        )

    def _listen(self, pipe: IO[bytes]) -> None:
        """Read events until the process ends; a killed one may leave half a line."""
        with pipe:
            for line in pipe:
                if line.endswith(b"\n"):
                    self._events.put(_event(line))
        self._events.put(None)

    def _end(self) -> None:
        process = self._process
        if "done" in self._seen:
            self._wait_for_close()
        elif process.poll() is None:
            process.terminate()
        try:
            process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            ending.reap(process, _NAME)
        if process.stdin is not None:
            with suppress(BrokenPipeError):  # what could not be sent is tried again
                process.stdin.close()
        self._listener.join(END_GRACE_S)  # it closes the pipe: nobody closes what it reads from

    def _wait_for_close(self) -> None:
        """Let the engines close, as long as they may and nobody interrupts it."""
        end_s = time.monotonic() + self._request.limits.close_s
        while self._signals.received is None and time.monotonic() < end_s:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_STEP_S)
                return


def _encoded(request: ProcessRequest) -> bytes:
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{error.object!a}: the path is not UTF-8, which the test's process needs for "
            "its own files. Rename it, or use a link with another name."
        ) from error


def _event(line: bytes) -> dict[str, object]:
    """Return the event in a line; one that cannot be read is a failure of the test."""
    try:
        message = msgspec.json.decode(line, type=dict[str, object])
        msgspec.convert(message.get("event"), str)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = f"the test's process sent a line that is not an event: {line!r}: {error}"
        return {"event": "failed", "message": text, "text": ""}
    return message
