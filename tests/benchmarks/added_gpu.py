"""What the harness adds to one sample on a GPU: LoadGen's SingleStream against the bare loop.

Both on one engine in one process. A library that tries its algorithms out may choose others each
time it is opened, and what two engines differ by is as much as what is looked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.cuda.engine import CudaEngine
from scenarios import records
from sut.base.process import before_others, collector_off, fastbins_off

# Needed at run time: msgspec reads the annotations to decode a request.
from sut.config.settings import TrialRequest
from sut.config.workload import Samples
from sut.load import loadgen
from sut.record.loadgen_logs import read_detail
from sut.record.run_folder import TRACE_FILE
from sut.record.trace import TraceWriter
from sut.run.child import Parent
from sut.run.trial import Library, Trial
from sut.serve.dispatcher import Outlets
from sut.serve.pool import DirectSystem
from sut.serve.specs import executor_spec
from sut.serve.workers.inline import InlineWorker
from tests.benchmarks.bare import ROOT
from tests.benchmarks.bare_gpu import Loop

if TYPE_CHECKING:
    from backends.base import Array
    from sut.serve.dispatcher import Failure


@dataclass(frozen=True, slots=True)
class AddedRequest:
    """What to run.

    Attributes:
        trial: of a SingleStream run on LoadGen's own thread.
        samples: the prepared samples, a .npy file [N, *shape].
        count: N.
        seconds: of the LoadGen run; each bare loop takes a quarter of it.
    """

    trial: TrialRequest
    samples: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AddedResult:
    """Medians for one sample, in ns.

    Attributes:
        before_ns: the bare copy, graph and copy, before the LoadGen run.
        loadgen_ns: the latency that LoadGen measured.
        after_ns: the bare loop again.
        parts_ns: the engine's own batches of one: copy in, wait, compute, copy out.
    """

    before_ns: float
    loadgen_ns: float
    after_ns: float
    parts_ns: tuple[float, ...]


def measure(request: AddedRequest) -> AddedResult:
    """Run it in a new process.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.added_gpu"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        input=msgspec.json.encode(request),
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(done.stdout, type=AddedResult)


class Quiet(Parent):
    """No supervisor listens."""

    def __init__(self) -> None:
        """Take nothing."""

    def tell(self, event: str, **values: object) -> None:
        """Say nothing."""


def _run_here(request: AddedRequest, folder: Path) -> AddedResult:
    load = replace(request.trial.load, min_duration_s=request.seconds, min_query_count=None)
    trial = replace(request.trial, out_dir=str(folder), load=load)
    failures: list[Failure] = []
    outlets = Outlets(loadgen.complete, TraceWriter(folder / TRACE_FILE), failures.append)
    name, device = next(trial.harness.worker_devices())
    worker = InlineWorker(name, executor_spec(trial, device), trial.limits.close_s)
    system = DirectSystem(trial, outlets, worker)
    system.open()
    samples_file = Samples((request.samples,), request.count)
    library = Library(replace(trial.workload, samples=samples_file), system)
    test = Trial(trial, Quiet())
    test._prepare(system, library, {})
    engine = worker.opened()._engine
    assert isinstance(engine, CudaEngine), "an engine of the CUDA worker"
    samples = np.ascontiguousarray(np.load(request.samples))
    before_ns = _bare_ns(engine, samples, request.seconds / 4)

    def run() -> None:
        loadgen.run(test._test(), system.front(), library, lambda *_: None)

    collector_off()
    # Not on the main thread, as in a real run.
    thread = threading.Thread(target=run, name="loadgen")
    thread.start()
    thread.join()
    assert not failures, failures
    found = records.sample_latencies(read_detail(folder).records)
    after_ns = _bare_ns(engine, samples, request.seconds / 4)
    parts_ns = Loop(engine, samples).single_parts_ns(request.seconds / 8)
    system.close()
    return AddedResult(before_ns, found["p50"], after_ns, parts_ns)


def _bare_ns(engine: CudaEngine, samples: Array, seconds: float) -> float:
    engine._driver.use()
    return Loop(engine, samples).single_ns(seconds)


if __name__ == "__main__":
    # What LoadGen and libraries print must not reach the parent's JSON.
    answer = os.dup(1)
    os.dup2(2, 1)
    before_others()
    fastbins_off()
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=AddedRequest)
    with tempfile.TemporaryDirectory() as scratch:
        os.write(answer, msgspec.json.encode(_run_here(asked, Path(scratch))))
