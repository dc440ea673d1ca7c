"""What the processes of tests share: how they speak with the supervisor, and how they end.

A test's process gets its request as the name of a file. Events go out on the original standard
output, JSON lines; everything else that it prints goes to run.log. When standard input closes, the
parent is gone, and the process ends too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from sut.base import descendants
from sut.base.errors import EXIT_FAILED, SutError, WorkerError
from sut.base.files import is_full
from sut.base.process import before_others
from sut.config.settings import TrialSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios.base import Capacity
    from sut.config.settings import HarnessSettings
    from sut.run.birth import How
    from sut.serve.pool import Front

# How often the main thread looks whether the engines go on.
LOOK_S = 0.5
# A batch hangs when it takes this much longer than the longest that warm-up measured; see Limits.
HANG_FACTOR = 10.0


class Parent:
    """The connection to the supervisor.

    Attributes:
        how: this process began.
    """

    def __init__(self, events: int, how: How = "anew") -> None:
        self._events, self.how = events, how
        self._lock = threading.Lock()

    def tell(self, event: str, **values: object) -> None:
        """Send one event. Only standard input shows that the parent is gone."""
        line = msgspec.json.encode({"event": event, **values}) + b"\n"
        with self._lock, contextlib.suppress(BrokenPipeError):
            os.write(self._events, line)

    def samples(self) -> TrialSamples:
        """Wait for the samples, then watch standard input, which ends when the parent is gone."""
        line = sys.stdin.buffer.readline()  # whatever encoding PYTHONIOENCODING asks for
        if not line:
            os._exit(EXIT_FAILED)
        self.watch(_nothing)
        return msgspec.json.decode(line, type=TrialSamples)

    def watch(self, hear: Callable[[bytes], None]) -> None:
        """Call `hear` with every further line, and end this process when the parent is gone."""
        watch = threading.Thread(target=self._watch, args=(hear,), name="parent-watch", daemon=True)
        watch.start()

    @staticmethod
    def _watch(hear: Callable[[bytes], None]) -> None:
        while line := sys.stdin.buffer.readline():
            hear(line)
        os._exit(EXIT_FAILED)


def main(act: Callable[[bytes, Parent], int], how: How = "anew") -> int:
    """Act on the request in argv[1], and tell the parent of every failure.

    Args:
        act: gets the request and the parent; returns the exit code.
        how: this process began.
    """
    before_others()
    descendants.adopt_orphans()
    request, folder = Path(sys.argv[1]), Path(sys.argv[1]).parent
    parent = Parent(_events_to_parent(), how)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and sends SIGTERM
    try:
        return act(request.read_bytes(), parent)
    except WorkerError as error:
        log(traceback.format_exc())
        parent.tell("failed", message=str(error), text=error.worker_traceback)
        return EXIT_FAILED
    except SutError as error:
        log(traceback.format_exc())
        parent.tell("error", message=str(error), code=error.exit_code)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the parent reports it, with this traceback
        if isinstance(error, OSError) and is_full(error):
            said = f"{error.filename or folder}: {error.strerror}; free some space."
            parent.tell("error", message=said, code=EXIT_FAILED)
            return EXIT_FAILED
        text = traceback.format_exc()
        log(text)
        parent.tell("failed", message=f"{type(error).__name__}: {error}", text=text)
        return EXIT_FAILED


def end(code: int) -> NoReturn:
    """End this process at once, whatever its threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    descendants.end_all()
    os._exit(code)


def hang(front: Front, limit_s: float) -> str | None:
    """Return a message if a batch has no answer for so long; else None."""
    since_ns = front.waiting_since_ns
    if since_ns is None or time.monotonic_ns() - since_ns <= limit_s * 1e9:
        return None
    return f"a batch has no answer after {limit_s:.1f} s: the engine hangs"


def hang_limit_s(capacity: Capacity, harness: HarnessSettings, least_s: float) -> float:
    """Return after how long a batch hangs; see sut.config.settings.Limits."""
    batch_s = capacity.max_batch_size / capacity.samples_per_s
    workers = sum(1 for _ in harness.worker_devices())
    return max(least_s, HANG_FACTOR * batch_s * workers * harness.slots)


def log(text: str) -> None:
    """Write to run.log before the parent knows, which ends this process; a full disk may refuse."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _events_to_parent() -> int:
    """Keep standard output for events, and send everything else to standard error: run.log."""
    events = os.dup(1)
    os.dup2(2, 1)
    return events


def _nothing(line: bytes) -> None:
    """Hear a line that says nothing."""
