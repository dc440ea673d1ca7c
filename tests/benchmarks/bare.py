"""The bare loop: ONNX Runtime's `session.run` and nothing else, in a process of its own.

What a harness can reach at best: the sessions of a run's settings, fed with contiguous views of the
prepared samples. No gather, no LoadGen, no queue; and no postprocess, unless it is asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from data.tasks import AnyPostprocess, records_of

# Needed at run time: msgspec reads the annotations to decode a request.
from data.tasks.base import FrameFile
from sut.base.process import before_others
from sut.config.settings import HarnessSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnxruntime import InferenceSession

    from backends.base import Array
    from data.tasks.base import Records

ROOT = Path(__file__).resolve().parents[2]
# Memory, caches and ONNX Runtime's threads are settled after this long.
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class BareRequest:
    """What to run.

    Attributes:
        harness: of the run to compare with; `max_batch_size` is the size of every batch here, and
            each worker is a session on a thread of its own.
        model: the ONNX file.
        input_name: of the model's input.
        samples: the prepared samples, a .npy file [N, *shape].
        seconds: measured time, after SETTLE_S.
        postprocess: called after every `session.run`, on its thread; None: none.
        frames: for the postprocess.
    """

    harness: HarnessSettings
    model: str
    input_name: str
    samples: str
    seconds: float
    postprocess: AnyPostprocess | None = None
    frames: FrameFile | None = None


@dataclass(frozen=True, slots=True)
class BareResult:
    """What the loop measured.

    Attributes:
        samples_per_s: of all instances together.
        call_ns: the median time of one `session.run`, with the postprocess.
    """

    samples_per_s: float
    call_ns: float


def measure(request: BareRequest) -> BareResult:
    """Run the loop in a new process.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bare"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=msgspec.json.encode(request),
        stdout=subprocess.PIPE,
        start_new_session=True,  # as the test's process: a priority counts within its session
    )
    return msgspec.json.decode(done.stdout, type=BareResult)


class Loop:
    """One session on one thread."""

    def __init__(self, session: InferenceSession, request: BareRequest, samples: Array) -> None:
        self._call = partial(_call, session.run, request.input_name, _records(request))
        self._batches = _batches(samples, request.harness.max_batch_size)
        self.calls_ns: list[int] = []
        self._thread = threading.Thread(target=self._loop, args=(request.seconds,))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _loop(self, seconds: float) -> None:
        self._until(SETTLE_S)
        self.calls_ns = self._until(seconds)

    def _until(self, seconds: float) -> list[int]:
        """Call for `seconds`; return the time from each call's return to the next one's, in ns."""
        call, batches = self._call, self._batches
        calls_ns: list[int] = []
        now_ns = time.monotonic_ns()
        end_ns = now_ns + int(seconds * 1e9)
        while now_ns < end_ns:
            batch = batches[len(calls_ns) % len(batches)]
            before_ns, _ = now_ns, call(*batch)
            now_ns = time.monotonic_ns()
            calls_ns.append(now_ns - before_ns)
        return calls_ns


def _call(
    run: Callable[..., list[Array]],
    name: str,
    records: Records | None,
    view: Array,
    indices: Sequence[int],
) -> None:
    outputs = run(None, {name: view})
    if records is not None:
        records(tuple(outputs), indices)


def _records(request: BareRequest) -> Records | None:
    if request.postprocess is None:
        return None
    return records_of(request.postprocess, request.frames)


def _batches(samples: Array, batch: int) -> Sequence[tuple[Array, Sequence[int]]]:
    """Return consecutive batches and their indices; too few samples make one that repeats them."""
    if len(samples) < batch:
        rows = np.arange(batch) % len(samples)
        return [(np.ascontiguousarray(samples[rows]), rows.tolist())]
    starts = range(0, len(samples) - batch + 1, batch)
    return [(samples[start : start + batch], range(start, start + batch)) for start in starts]


def _run_here(request: BareRequest) -> BareResult:
    before_others()  # as the test's process does
    batch = request.harness.max_batch_size
    samples = np.ascontiguousarray(np.load(request.samples))
    devices = [device for _, device in request.harness.worker_devices()]
    loops = [Loop(_open_session(request, device), request, samples) for device in devices]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    rate = sum(batch * len(loop.calls_ns) / sum(loop.calls_ns) * 1e9 for loop in loops)
    return BareResult(rate, median(call for loop in loops for call in loop.calls_ns))


def _open_session(request: BareRequest, device: str) -> InferenceSession:
    """Open a session exactly as the backend does: the loop must differ in nothing but the loop."""
    import onnxruntime  # the parent process needs no engine

    from backends.onnxruntime import session as backend
    from backends.options import read_options

    options = read_options(request.harness.backend_options, backend.Options, "bare loop")
    providers = backend.providers(device)
    return backend.open_session(onnxruntime, request.model, options, providers)


if __name__ == "__main__":
    # What libraries print must not reach the parent's JSON.
    answer = os.dup(1)
    os.dup2(2, 1)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=BareRequest)
    os.write(answer, msgspec.json.encode(_run_here(asked)))
