"""A worker process: opens its own engine, reads its own samples, and runs what comes over a socket.

Started as `python -m sut.serve.workers.child FD NAME CPUS [--keep]`. It ends when the socket does,
so it cannot outlive the process that started it. With --keep, the socket brings one connection per
test, and the engine stays open between them: see sut.serve.workers.keeper. Knows no LoadGen, no
response ids and no policy.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sut.base import descendants
from sut.base.errors import EXIT_FAILED, EXIT_VALID
from sut.base.process import before_others, bind_process, collector_off, collector_on, parse_cpus
from sut.base.steps import heard_by
from sut.serve.samples import SampleReader
from sut.serve.workers.executor import Executor, ExecutorSpec, open_executor
from sut.serve.workers.failures import describe
from sut.serve.workers.keeper import orders
from sut.serve.workers.lane import Lane, Outcome
from sut.serve.workers.wire import (
    SPIN_NS,
    Failed,
    Kind,
    Reader,
    frame,
    pack_answer,
    pack_object,
    unpack_batch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.serve.samples import SampleSource
    from sut.serve.workers.executor import Timing


@dataclass(slots=True)
class NumberedWork:
    """A batch in this process."""

    number: int
    indices: list[int]


class Child:
    """Answers calls and batches; its engine stays open from one connection to the next."""

    def __init__(self) -> None:
        self._sending = threading.Lock()  # a collector and the main thread both answer
        self._spec: ExecutorSpec | None = None
        self._source: SampleSource | None = None
        self._executor: Executor | None = None
        self._lane: Lane[Any] | None = None
        self._reader = SampleReader()

    def serve(self, sock: socket.socket) -> None:
        """Work until the other end closes the connection."""
        self._sock = sock
        with contextlib.suppress(EOFError, ConnectionError):
            self._answer_all(Reader(sock))
        if self._lane is not None:  # nothing of this test may be answered to the next
            self._lane.close()
            self._lane = None

    def _answer_all(self, reader: Reader) -> None:
        spin_ns = 0
        while True:
            for kind, body in reader.receive(spin_ns):
                # After the answer that somebody waits for, the next batch comes at once.
                spin_ns = SPIN_NS if kind == Kind.RUN else 0
                if kind == Kind.RUN:
                    self._send(self._run(*unpack_batch(body)))
                elif kind == Kind.BATCH:
                    assert self._lane is not None, "open comes first"
                    self._lane.run(NumberedWork(*unpack_batch(body)))
                else:
                    self._send(self._call(body))

    def close(self) -> None:
        """Close the engine, if one is open."""
        executor, self._executor = self._executor, None
        self._spec = self._source = None
        if executor is not None:
            executor.close()
            self._reader.close()
            del executor
            collector_on()  # the engine's circles hold memory of the device

    def _run(self, number: int, indices: list[int]) -> bytes:
        """Run a batch on this thread; return the frame that answers it."""
        try:
            responses, started_ns, finished_ns = self._opened().timed(indices)
        except BaseException as error:  # noqa: BLE001 - no batch may stay without an answer
            return pack_object(Kind.RAISED, describe(error))
        return pack_answer(number, started_ns, finished_ns, responses)

    def _call(self, body: memoryview) -> bytes:
        """Make a call; return the frame that answers it."""
        try:
            method, arguments = pickle.loads(body)
            return pack_object(Kind.RESULT, getattr(self, f"call_{method}")(*arguments))
        except Exception as error:  # noqa: BLE001 - raised again in the parent
            traceback.print_exc()
            return pack_object(Kind.RAISED, describe(error))

    def call_open(self, spec: ExecutorSpec) -> dict[str, OptionValue]:
        """Open the engine, unless the very same is open already; return its facts."""
        if self._executor is None or spec != self._spec:
            self.close()
            with heard_by(self._say):
                self._executor, _ = open_executor(spec)
            self._spec = spec
        self._lane = Lane(self._executor, self._report, _end_now)
        self._lane.open()
        return self._executor.facts()

    def call_load(self, source: SampleSource) -> None:
        """Read this process's own copy of the samples."""
        if source == self._source:
            return
        self._source, executor = None, self._opened()
        executor.load(self._reader.read(source, executor.memory))
        self._source = source
        collector_off()

    def call_warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> dict[int, Timing]:
        """Measure S(b)."""
        return self._opened().warm_up(indices, sizes, limit_s)

    def call_alone(self, indices: Sequence[int], size: int) -> int:
        """Time a batch that runs alone."""
        return self._opened().alone_ns(indices, size)

    def call_way_in(self, indices: Sequence[int], size: int) -> int | None:
        """Time the way of a batch to an idle device; None: the engine takes one at a time."""
        executor = self._opened()
        return executor.way_in_ns(indices, size) if executor.slots else None

    def call_counts(self) -> dict[str, float]:
        """Return what was counted since warm-up."""
        return self._opened().counts()

    def _opened(self) -> Executor:
        assert self._executor is not None, "open comes first"
        return self._executor

    def _report(self, work: Any, outcome: Outcome) -> None:
        times = (work.number, outcome.started_ns, outcome.finished_ns)
        if outcome.responses is None:
            self._send(pack_object(Kind.FAILURE, Failed(*times, outcome.error, outcome.traceback)))
        else:
            self._send(pack_answer(*times, outcome.responses))

    def _say(self, text: str) -> None:
        self._send(frame(Kind.STEP, text.encode()))

    def _send(self, data: bytes) -> None:
        # Whoever is gone needs no answer; the next look at the socket shows that.
        with self._sending, contextlib.suppress(ConnectionError):
            self._sock.sendall(data)


def main(kind: Callable[[], Child] = Child) -> None:
    """Serve the socket whose descriptor is argv[1], on the cores in argv[3]."""
    descriptor, name, cpus, *keep = int(sys.argv[1]), *sys.argv[2:]
    die_with_parent()
    descendants.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if keep:  # the process of a test, which did so, started the others
        before_others()
    if cpus:
        bind_process(parse_cpus(cpus))
    threading.current_thread().name = name
    try:
        _serve(kind(), socket.socket(fileno=descriptor), keep=bool(keep))
    except BaseException as error:  # noqa: BLE001 - the parent waits for this process to end
        _end_now(error)
    # The engine is closed. What libraries do at exit takes time that the parent would wait for:
    # torch, 2.4 s until the processes that it compiled in have ended by themselves.
    _leave(EXIT_VALID)


def _serve(child: Child, sock: socket.socket, *, keep: bool) -> None:
    if not keep:
        child.serve(sock)
    for connection in orders(sock) if keep else ():
        if connection is None:
            child.close()
            continue
        with connection:
            child.serve(connection)
    child.close()


def _end_now(error: BaseException) -> None:
    """End the process, whatever its other threads do: the parent sees that, and reports it."""
    traceback.print_exception(error)
    _leave(EXIT_FAILED)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    descendants.end_all()
    os._exit(code)


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent dies, even while an engine runs."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main()
