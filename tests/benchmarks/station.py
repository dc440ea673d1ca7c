"""One LoadGen test of the harness alone, in its own process: `python -m tests.benchmarks.station`.

The engine is the null backend, so that all that is measured is LoadGen, its binding and the
harness. The kind "trivial" is no harness at all: a callback that completes every query at once, the
ceiling of what Python can do with LoadGen.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backends.base import TensorSpec
from data.tasks.classification import ArgMax
from scenarios.base import Load
from sut.base.environment import ROOT
from sut.config.settings import HarnessSettings, TrialRequest, WorkerKind
from sut.config.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.dispatcher import Failure

MODEL = "resnet50"  # its Server bound is 15 ms
SAMPLES = 1024
INPUT = TensorSpec("input", (3, 224, 224), "float32")
TRIVIAL = "trivial"


@dataclass(frozen=True, slots=True)
class Test:
    """One test.

    Attributes:
        kind: TRIVIAL, or a kind of worker.
        scenario: as LoadGen spells it.
        qps: Server: the rate. Offline: the expected rate, which decides the number of samples.
        seconds: least duration.
        devices: workers.
        max_batch_size: samples.
        slots: batches in flight a worker.
        max_queue_delay_us: how long a sample waits for its batch to fill.
        cluster: file of the nodes that have the devices; empty: none, see `kind`.
    """

    __test__ = False  # not pytest's

    kind: str
    scenario: str
    qps: float
    seconds: float
    devices: int = 1
    max_batch_size: int = 256
    slots: int = 2
    max_queue_delay_us: int = 0
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What LoadGen measured.

    Attributes:
        rate: Server, Offline: completed samples/s; SingleStream: 0.
        p90_ns: latency.
        p99_ns: latency.
        valid: the bound of Server is met, by LoadGen's own verdict.
        cpu_us: processor time of all processes a sample, in us, without start and warm-up.
        batch: mean batch size; 0 for TRIVIAL.
        own_us: processor time of LoadGen's process alone a sample, in us, during the test, without
            ZeroMQ's threads.
        wire_us: of those.
        queries: calls of IssueQuery a sample; 0 for TRIVIAL.
    """

    rate: float
    p90_ns: float
    p99_ns: float
    valid: bool
    cpu_us: float
    batch: float
    own_us: float
    wire_us: float
    queries: float


def measure(test: Test) -> Result:
    """Run `test` in a new process.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.station"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=msgspec.json.encode(test),
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)


class _Trivial:
    """Completes every query inside the callback."""

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        from sut.load.loadgen import complete  # the parent process needs no LoadGen

        self.issue_query = lambda ids, indices: complete(ids, None)  # type: ignore[method-assign]  # found once
        complete(ids, None)

    def flush_queries(self) -> None:
        """Nothing is held back."""


class _Library:
    """Samples that nobody reads."""

    total_count = SAMPLES
    performance_count = SAMPLES

    def load_samples(self, indices: Sequence[int]) -> None:
        """Nothing to load."""

    def unload_samples(self, indices: Sequence[int]) -> None:
        """Nothing to let go."""


def _run_here(test: Test, folder: Path) -> Result:
    from sut.base.process import collector_off
    from sut.base.threads import ThreadClock
    from sut.config import user_conf
    from sut.load import loadgen
    from sut.record import loadgen_logs
    from sut.record.trace import TraceWriter
    from sut.record.trace_reader import TraceReader
    from sut.serve.dispatcher import Outlets
    from sut.serve.pool import System, open_system
    from sut.serve.samples import SampleSource

    conf: dict[str, int | float] = {"min_duration": int(test.seconds * 1e3), "min_query_count": 1}
    if test.scenario == "SingleStream":
        conf["target_latency"] = 0.001
    else:
        conf["target_qps"] = test.qps
    if test.scenario == "Server":
        conf["coalesce_queries"] = 1
    (folder / "user.conf").write_text(user_conf.render(MODEL, test.scenario, conf), "utf-8")
    system: System | None = None
    front: loadgen.QuerySink = _Trivial()
    if test.kind != TRIVIAL:
        outlets = Outlets(loadgen.complete, TraceWriter(folder / "trace"), _end)
        closed_loop = test.scenario == "SingleStream"
        asked = _request(test, folder)
        system = open_system(asked, outlets, closed_loop=closed_loop)
        system.open()
        system.load(SampleSource.of(asked.workload, range(SAMPLES)))
        system.warm_up(range(8), 1, 0.3)
        front = system.front()
    request = loadgen.LoadgenTest(test.scenario, False, MODEL, folder / "user.conf", folder)
    collector_off()
    before_s, clock, start_s = _cpu_s(), ThreadClock(), time.monotonic()
    loadgen.run(request, front, _Library(), lambda message, text: _end_with(message + text))
    wire_s = clock.cores().get("wire_cores", 0.0) * (time.monotonic() - start_s)
    own_s = _cpu_s() - before_s
    batch = queries = 0.0
    if system is not None:
        system.close()
        trace = TraceReader(folder / "trace").read()
        sizes = trace.batches["samples"]
        batch, queries = float(sizes.mean()), len(trace.queries["samples"]) / float(sizes.sum())
    detail = loadgen_logs.read_detail(folder)
    count = _samples(detail, test.scenario)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own_s + children.ru_utime + children.ru_stime
    return Result(
        rate=_number(detail, "result_completed_samples_per_sec", "result_samples_per_second"),
        p90_ns=_number(detail, "result_90.00_percentile_latency_ns"),
        p99_ns=_number(detail, "result_99.00_percentile_latency_ns"),
        valid=detail.validity == "VALID",
        cpu_us=cpu_s / count * 1e6,
        batch=batch,
        own_us=(own_s - wire_s) / count * 1e6,
        wire_us=wire_s / count * 1e6,
        queries=queries,
    )


def _request(test: Test, folder: Path) -> TrialRequest:
    if test.cluster:
        return _on_nodes(test, folder)
    kind: WorkerKind = msgspec.convert(test.kind, WorkerKind)
    harness = HarnessSettings(
        backend="null",
        workers=kind,
        devices=tuple(str(k) for k in range(test.devices)),
        instances=1,
        max_batch_size=test.max_batch_size,
        max_queue_delay_us=test.max_queue_delay_us,
        slots=test.slots,
    )
    return TrialRequest(
        scenario=test.scenario,
        accuracy=False,
        out_dir=str(folder),
        load=Load(),
        workload=Workload(
            benchmark=MODEL,
            loadgen_model=MODEL,
            model=None,
            inputs=(INPUT,),
            output_name=None,
            postprocess=ArgMax(),
            performance_sample_count=SAMPLES,
        ).with_samples(None),
        harness=harness,
    )


def _on_nodes(test: Test, folder: Path) -> TrialRequest:
    from sut.config.arguments import Arguments
    from sut.config.plan import resolve
    from sut.config.prepare import resolve_workload

    arguments = Arguments(
        benchmark=MODEL,
        scenario=test.scenario,
        backend="null",
        cluster=Path(test.cluster),
        max_batch_size=test.max_batch_size,
        max_queue_delay_us=test.max_queue_delay_us,
        slots=test.slots,
    )
    plan = resolve(arguments)
    workload = resolve_workload(plan.benchmark, "null", None).with_samples(None)
    return TrialRequest(test.scenario, False, str(folder), Load(), workload, plan.harness)


def _samples(detail: object, scenario: str) -> float:
    if scenario == "Offline":
        return _number(detail, "effective_samples_per_query")
    return _number(detail, "result_query_count")


def _number(detail: object, *keys: str) -> float:
    """Return the first of the keys that the log has; 0 if it has none."""
    assert isinstance(detail, dict) or hasattr(detail, "get")
    for key in keys:
        value = detail.get(key)
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _cpu_s() -> float:
    return time.process_time()


def _end(failure: Failure) -> None:
    _end_with(failure.message + failure.traceback)


def _end_with(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    os._exit(1)


def _main() -> None:
    test = msgspec.json.decode(sys.stdin.buffer.read(), type=Test)
    with tempfile.TemporaryDirectory() as folder:
        result = _run_here(test, Path(folder))
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(result) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # LoadGen's destructors must not run


if __name__ == "__main__":
    _main()
