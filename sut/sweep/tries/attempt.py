"""The process of one try: opens an engine, does what it is told, and says what became of it.

sut.sweep.tries.group starts it as `python -m sut.sweep.tries.attempt REQUEST.json`; see
sut.run.child. An act is a module with `act(attempt)`, which returns plain data.
"""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from backends.base import open_engine
from backends.device_memory import free_bytes, has_own_memory, take
from backends.ladder import sizes_text
from sut.base.errors import EXIT_FAILED, SutError
from sut.base.resident import reset_peak, resident
from sut.base.steps import heard_by
from sut.config.settings import Lent, Limits  # msgspec reads the annotations
from sut.config.workload import Workload
from sut.run import child
from sut.sweep.tries.outcome import Kind, kind_of

if TYPE_CHECKING:
    from backends.base import Array, Engine, EngineSpec
    from sut.run.child import Parent

# The name of the fact that says how the process began: "anew" or "forked".
PROCESS = "process"
_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class TryRequest:
    """What one process is to do.

    Attributes:
        out_dir: its folder; exists, and keeps request.json and run.log.
        workload: the model, and the shapes of its inputs; samples need not be prepared.
        backend: a key of backends.base.BACKENDS.
        max_batch_size: the engine's largest batch.
        act: the module whose `act` is called with the open engine.
        arguments: of the act, as plain data.
        device: "cpu", or another name that the backend understands.
        options: of the backend.
        slots: batches in flight.
        cores: CPU cores that are meant for the engine; None: all that the process may use.
        taken_bytes: of a GPU's memory, allocated before the engine opens, and never used.
        limits: how long the engine may take to close.
        lent: nothing; a try never keeps a process.
    """

    out_dir: str
    workload: Workload
    backend: str
    max_batch_size: int
    act: str
    arguments: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    slots: int = 1
    cores: int | None = None
    taken_bytes: int = 0
    limits: Limits = field(default_factory=Limits)
    lent: tuple[Lent, ...] = ()


class Attempt:
    """What an act gets: the request, the engine, and the parent that starts and stops it.

    Attributes:
        request: what is to be done.
        spec: what opens the engine, and others like it.
        engine: open; closed by whoever called the act.
        opening: memory in bytes before and after the engine opened, and the peak meanwhile; on a
            GPU also what is free of its memory before.
        stopping: set when the parent says stop.
    """

    def __init__(self, request: TryRequest, parent: Parent) -> None:
        self.request = request
        self.spec = _spec(request)
        self.stopping = threading.Event()
        self._parent = parent
        self._start_ns = 0
        self._started = threading.Event()
        parent.watch(self._hear)
        self.opening: dict[str, int] = {}
        if has_own_memory(request.backend, request.device):
            if request.taken_bytes:
                take(request.device, request.taken_bytes)
            self.opening["device_free_bytes"] = free_bytes(request.device)
        before = resident()
        with heard_by(lambda text: parent.tell("opening", step=text)):
            self.engine: Engine = open_engine(self.spec)
        after = resident()
        assert before is not None, "this process lives"
        assert after is not None, "this process lives"
        self.opening |= {
            "before_bytes": before.private,
            "after_bytes": after.private,
            "peak_bytes": after.private_peak,
        }
        reset_peak()

    def at_barrier(self) -> int:
        """Wait until all processes of the group are here; return when they start.

        All return at the same moment of `time.monotonic_ns`, which is the returned one.
        """
        self._parent.tell("ready")
        self._started.wait()
        time.sleep(max(0.0, (self._start_ns - time.monotonic_ns()) / _NS_PER_S))
        return self._start_ns

    def tell(self, event: str, **values: object) -> None:
        """Send the parent an event of the act's own."""
        self._parent.tell(event, **values)

    def samples(self, count: int, seed: int = 0) -> dict[str, Array]:
        """Return made-up samples, [count, *shape] an input: floats from 0 to 1, integers 0 or 1."""
        random = np.random.default_rng(seed)
        found: dict[str, Array] = {}
        for tensor in self.engine.inputs:
            shape, dtype = (count, *tensor.sizes), np.dtype(tensor.dtype)
            if dtype.kind == "f":
                # In float32, so that a large batch is not in memory three times over.
                values = random.random(shape, np.float32)
                found[tensor.name] = values if dtype == np.float32 else values.astype(dtype)
            else:
                found[tensor.name] = random.integers(0, 2, shape, np.int8).astype(dtype)
        return found

    def _hear(self, line: bytes) -> None:
        """Take a line from the parent: when to start, or that it is enough."""
        said = msgspec.json.decode(line)
        if said == "stop":
            self.stopping.set()
        else:
            self._start_ns = said
            self._started.set()


def act(text: bytes, parent: Parent) -> int:
    """Make the try of a request; return the exit code. Every error becomes an answer."""
    request = msgspec.json.decode(text, type=TryRequest)
    try:
        attempt = Attempt(request, parent)
        figures = import_module(request.act).act(attempt)
    except Exception as error:  # noqa: BLE001 - the parent gets it, with its traceback
        child.log(traceback.format_exc())
        parent.tell("done", **_told(error, request.device))
        return EXIT_FAILED
    engine = attempt.engine
    facts = {name: str(value) for name, value in engine.facts.items()}
    facts["batch_sizes"] = sizes_text(engine.sizes)
    facts[PROCESS] = parent.how
    parent.tell("done", kind=Kind.OK, figures=figures, facts=facts)
    attempt.engine.close()
    return 0


def _told(error: Exception, device: str) -> dict[str, object]:
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    named = f"device {device}"
    if isinstance(error, SutError) and named in line:
        said = line
    else:
        said = ": ".join(filter(None, (named, type(error).__name__, line)))
    return {
        "kind": kind_of(error),
        "message": said,
        "traceback": traceback.format_exc(),
    }


def _spec(request: TryRequest) -> EngineSpec:
    spec = request.workload.engine(
        request.backend, request.max_batch_size, request.device, request.options, request.slots
    )
    return replace(spec, cores=request.cores)


if __name__ == "__main__":
    child.end(child.main(act))
