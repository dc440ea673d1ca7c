"""The way of MLPerf's reference script: one image a call, which is waited for, and then its boxes.

In a process of its own, on the engine of a run's settings. The suppression of boxes is this
program's, and samples are prepared already, so that it is faster than the script's own way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import msgspec

# Needed at run time: msgspec reads the annotations to decode a request.
from backends.base import OptionValue
from sut.config.settings import TrialRequest
from sut.serve.workers.executor import Executor
from tests.benchmarks.bare import ROOT

SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class OneRequest:
    """What to run.

    Attributes:
        trial: of the run to compare with, with its samples.
        device: as --devices has it.
        options: of the backend.
        seconds: measured time, after SETTLE_S.
    """

    trial: TrialRequest
    device: str
    options: dict[str, OptionValue]
    seconds: float


def measure(request: OneRequest) -> float:
    """Run in a new process; return images/s.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.one_image"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        input=msgspec.json.encode(request),
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(done.stdout, type=float)


def _run_here(request: OneRequest) -> float:
    from sut.serve.samples import SampleReader, SampleSource
    from sut.serve.specs import executor_spec  # the parent process needs no engine

    harness = replace(
        request.trial.harness,
        max_batch_size=1,
        slots=1,
        backend_options=request.options,
        chooses_batch=False,
        postprocess_threads=1,
    )
    trial = replace(request.trial, harness=harness)
    executor = Executor(executor_spec(trial, request.device))
    samples = trial.workload.samples
    assert samples is not None, "the parent prepared them"
    source = SampleSource.of(trial.workload, range(samples.count))
    executor.load(SampleReader().read(source, executor.memory))
    _rate(executor, samples.count, SETTLE_S)
    rate = _rate(executor, samples.count, request.seconds)
    executor.close()
    return rate


def _rate(executor: Executor, count: int, seconds: float) -> float:
    start_s, images = time.monotonic(), 0
    while time.monotonic() < start_s + seconds:
        executor.run([images % count])
        images += 1
    return images / (time.monotonic() - start_s)


if __name__ == "__main__":
    # What libraries print must not reach the parent's JSON.
    answer = os.dup(1)
    os.dup2(2, 1)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=OneRequest)
    os.write(answer, msgspec.json.encode(_run_here(asked)))
