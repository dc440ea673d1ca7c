"""An engine in a process of its own, for tensors that lie in this one.

The input of a batch is copied into memory that both processes map; answers come back through a
pipe. The process cannot take the interpreter lock of this one, and if it is killed only this engine
ends, with a message that says how. Knows no queue, no query and no policy.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.base import open_engine
from sut.base import ending
from sut.base.errors import EngineError, WorkerError
from sut.base.process import exit_words
from sut.base.standing import STOPPED, Standing
from sut.serve.workers.failures import Elsewhere, Raised, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection

    from backends.base import Array, Arrays, EngineSpec, OptionValue, TensorSpec

_END_S = 5.0  # for an engine to close
_LOOK_S = 0.25  # how often it looks whether the process was stopped, while no answer comes


class ApartEngine:
    """A `backends.base.Engine` without bound samples; see there. One thread at a time may use it.

    An asynchronous engine runs one batch at a time here.

    Args:
        spec: what the other process opens.

    Raises:
        SutError: what opening the engine raised, or its process ended.
    """

    def __init__(self, spec: EngineSpec) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, spec), daemon=True)
        self._process.start()
        self._standing = Standing()
        theirs.close()  # so that the pipe breaks with the process
        self._memory: SharedMemory | None = None
        self.inputs: tuple[TensorSpec, ...]
        self.outputs: tuple[TensorSpec, ...]
        self.max_batch_size: int
        self.sizes: tuple[int, ...]
        facts: dict[str, OptionValue]
        try:
            self.inputs, self.outputs, self.max_batch_size, self.sizes, facts = self._answer()
        except BaseException:
            self.close()
            raise
        pid = self._process.pid
        assert pid is not None, "it was started"
        self.facts: Mapping[str, OptionValue] = {**facts, "pid": pid}
        self._memory = SharedMemory(create=True, size=_bytes(self.inputs, self.max_batch_size))
        self._rooms = _rooms(self._memory, self.inputs, self.max_batch_size)
        self._pipe.send(self._memory.name)

    def bind(self, samples: Arrays) -> None:
        """See Engine. Samples stay in their process, so none can be bound."""
        raise EngineError("an engine in a process of its own takes arrays; it binds no samples")

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See Engine and `bind`."""
        raise EngineError("an engine in a process of its own takes arrays; nothing is bound")

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See Engine.

        Raises:
            WorkerError: the process ended.
        """
        count = 0
        for tensor, room in zip(self.inputs, self._rooms, strict=True):
            count = len(arrays[tensor.name])
            room[:count] = arrays[tensor.name]
        try:
            self._pipe.send(count)
        except OSError as error:
            raise self._ended() from error
        answer: tuple[Array, ...] = self._answer()
        return answer

    def close(self) -> None:
        """See Engine."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(_END_S)
        self._kill()
        self._pipe.close()
        if self._memory is not None:
            self._rooms = []  # they map it
            self._memory.close()
            self._memory.unlink()
            self._memory = None

    def _kill(self) -> None:
        """End the process if it has not ended."""
        process = self._process
        if process.is_alive():
            process.kill()
            process.join(ending.KILLED_S)
        if process.is_alive():
            ending.warn_left(process.pid or 0, "the process of an engine", ending.KILLED_S)
            # At exit, multiprocessing waits for its children without a limit.
            vars(multiprocessing.process)["_children"].discard(process)

    def _answer(self) -> Any:
        try:
            while not self._pipe.poll(_LOOK_S):
                if self._standing.too_long(self._process.pid):
                    self._kill()
                    raise WorkerError(
                        f"the process of the engine (pid {self._process.pid}) stands still "
                        f"({STOPPED}) and was killed"
                    )
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(answer, Raised):
            raise Elsewhere(answer)
        return answer

    def _ended(self) -> WorkerError:
        self._process.join(_END_S)
        code = self._process.exitcode
        how = "does not answer" if code is None else f"ended with {exit_words(code)}"
        return WorkerError(f"the process of the engine (pid {self._process.pid}) {how}")


def _serve(pipe: Connection, spec: EngineSpec) -> None:
    """Open an engine and answer batches until the pipe ends; the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to act on
    try:
        engine = open_engine(spec)
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        pipe.send(describe(error))
        return
    pipe.send(
        (engine.inputs, engine.outputs, engine.max_batch_size, engine.sizes, dict(engine.facts))
    )
    with contextlib.suppress(EOFError, OSError):  # the parent ended
        memory = SharedMemory(pipe.recv())
        rooms = _rooms(memory, engine.inputs, engine.max_batch_size)
        while (count := pipe.recv()) is not None:
            pairs = zip(engine.inputs, rooms, strict=True)
            try:
                pipe.send(engine.infer_arrays({t.name: room[:count] for t, room in pairs}))
            except Exception as error:  # noqa: BLE001 - raised again in the parent
                pipe.send(describe(error))
        rooms.clear()
        memory.close()
    engine.close()


def _bytes(inputs: Sequence[TensorSpec], rows: int) -> int:
    return sum(rows * _row_bytes(tensor) for tensor in inputs)


def _row_bytes(tensor: TensorSpec) -> int:
    return int(np.prod(tensor.sizes)) * np.dtype(tensor.dtype).itemsize


def _rooms(memory: SharedMemory, inputs: Sequence[TensorSpec], rows: int) -> list[Array]:
    """Return an array for each input, one behind the other in the memory."""
    found, start = [], 0
    for tensor in inputs:
        shape = (rows, *tensor.sizes)
        found.append(np.ndarray(shape, tensor.dtype, memory.buf, start))
        start += rows * _row_bytes(tensor)
    return found
