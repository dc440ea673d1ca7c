"""A worker process whose answer the asking thread waits for: no dispatcher, and no thread between.

For closed loops: LoadGen's thread sends a batch and looks for its answer; the process runs it on
the thread that received it. Neither sleeps for short times, because waking a thread takes longer
than the rest of the way.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from sut.base.errors import WorkerError
from sut.base.steps import say_step
from sut.serve.workers.closing import close_all
from sut.serve.workers.connection import Connection
from sut.serve.workers.failures import Elsewhere, Raised, describe, named, naming
from sut.serve.workers.wire import SPIN_NS, Kind, pack_batch, pack_object, unpack_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.base import OptionValue
    from sut.serve.samples import SampleSource
    from sut.serve.workers.connection import ProcessSpec
    from sut.serve.workers.executor import Timed, Timing

# How often it looks whether the process was stopped, while no answer comes.
_LOOK_S = 0.25
# What closing takes beyond the engine, before the process is given up.
CLOSE_MARGIN_S = 0.5


class AskedProcess:
    """See sut.serve.direct.DirectWorker. One thread at a time may use it."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.name = spec.name
        self._spec = spec
        self._link = Connection(spec)
        self._number = 0  # of the next batch
        self._spin_ns = 0
        self._limit_s: float | None = None

    def open(self) -> dict[str, OptionValue]:
        """See DirectWorker. The process starts here, unless it is a kept one."""
        self._link.open()
        facts: dict[str, OptionValue] = self._call("open", self._spec.executor)
        return facts

    def load(self, source: SampleSource) -> None:
        """See DirectWorker. The process reads its own copy."""
        self._call("load", source)

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> dict[int, Timing]:
        """See DirectWorker."""
        measured: dict[int, Timing] = self._call("warm_up", tuple(indices), sizes, limit_s)
        self._limit_s = self._spec.hang_limit_s(measured)
        # Whoever must sleep anyway need not look first.
        longest_ns = max(timing.median_ns for timing in measured.values())
        self._spin_ns = SPIN_NS if longest_ns < SPIN_NS else 0
        return measured

    def run(self, indices: Sequence[int]) -> Timed:
        """See DirectWorker.

        Raises:
            Elsewhere: the batch failed in the process.
            WorkerError: the process died, hung, or could not be understood; it has ended.
        """
        number = self._number
        self._number = number + 1
        answer = self._ask(pack_batch(number, indices, Kind.RUN), self._spin_ns, self._limit_s)
        if isinstance(answer, Raised):
            raise Elsewhere(answer)
        _, started_ns, finished_ns, responses = answer
        return responses, started_ns, finished_ns

    def counts(self) -> dict[str, float]:
        """See DirectWorker."""
        found: dict[str, float] = self._call("counts")
        return found

    def close(self) -> None:
        """See DirectWorker."""
        limit_s = self._spec.close_s + CLOSE_MARGIN_S
        close_all({self.name: self._link.close}, limit_s)

    def _call(self, method: str, *arguments: object) -> Any:
        with naming(self.name, method):
            frame = pack_object(Kind.CALL, (method, arguments))
        answer = self._ask(frame)
        if isinstance(answer, Raised):
            raise named(answer, self.name, method)
        return answer

    def _ask(self, frame: bytes, spin_ns: int = 0, limit_s: float | None = None) -> Any:
        """Send a frame; return what the frame holds that answers it."""
        link = self._link
        try:
            link.socket.sendall(frame)
            answers: list[object] = []
            while not answers:
                for kind, body in self._received(spin_ns, limit_s):
                    if kind == Kind.STEP:
                        say_step(str(body, "utf-8"))
                    else:
                        answers.append(_content(kind, body))
            return answers[0]
        except WorkerError:
            link.ends_within(0.0)
            raise
        except (EOFError, OSError) as error:
            raise WorkerError(link.lost_text()) from error
        except Exception as error:
            link.ends_within(0.0)
            text = self._spec.unusable_text(error)
            raise WorkerError(text, describe(error).traceback) from error

    def _received(self, spin_ns: int, limit_s: float | None) -> Iterator[tuple[int, memoryview]]:
        """Yield what the process says next; see Reader.

        Raises:
            WorkerError: it says nothing for `limit_s`, or stands still.
        """
        silent_s = 0.0
        while True:
            look_s = _LOOK_S if limit_s is None else min(_LOOK_S, limit_s - silent_s)
            try:
                yield from self._link.reader.receive(spin_ns, look_s)
            except TimeoutError as error:
                is_first, silent_s = not silent_s, silent_s + look_s
                if limit_s is not None and silent_s >= limit_s:
                    text = self._spec.hang_text(self._number - 1, limit_s)
                    raise WorkerError(text) from error
                if self._link.stands_still(is_awaited=not is_first):
                    raise WorkerError(self._spec.stopped_text()) from error
            else:
                return


def _content(kind: int, body: memoryview) -> object:
    """Return an Answer, a Raised, or what a call returned."""
    if kind == Kind.ANSWER:
        return unpack_answer(body)
    if kind == Kind.RAISED:
        return Raised(*pickle.loads(body))
    return pickle.loads(body)
