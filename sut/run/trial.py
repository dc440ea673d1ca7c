"""The process of one LoadGen test: opens the engines, runs LoadGen, and ends.

sut.run.supervisor starts it as `python -m sut.run.trial REQUEST.json`. The samples come in on
standard input; sut.run.child says the rest.

It is a separate process because LoadGen allows one test per process, cannot be aborted, and crashes
the interpreter if something goes wrong inside it.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scenarios import scenario
from sut.base import environment
from sut.base.errors import EXIT_FAILED, EXIT_SIGTERM
from sut.base.process import collector_off, fastbins_off
from sut.base.steps import heard_by
from sut.config import user_conf
from sut.config.settings import TrialRequest
from sut.load import loadgen
from sut.load.schedule import check_fits
from sut.record.run_folder import TRACE_FILE, USER_CONF_FILE
from sut.record.thinning import Rooms
from sut.record.trace import TraceWriter
from sut.run import child
from sut.serve.dispatcher import Failure, Outlets
from sut.serve.pool import open_system
from sut.serve.samples import SampleSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scenarios.base import Number, Scenario
    from sut.config.workload import Workload
    from sut.run.child import Parent
    from sut.serve.pool import Front, System

# After a failure every sample is answered at once, so LoadGen returns when its schedule is over. In
# Server that may take minutes, so the process ends after this time.
FAILURE_GRACE_S = 1.0
NS_PER_MS = 1e6


class Library:
    """LoadGen's QuerySampleLibrary: reads samples into memory and gives them to the workers."""

    def __init__(self, workload: Workload, system: System) -> None:
        assert workload.samples is not None, "samples are prepared before LoadGen asks for them"
        self.total_count = workload.samples.count
        self.performance_count = min(workload.performance_sample_count, self.total_count)
        self._workload = workload
        self._system = system

    def load_samples(self, indices: Sequence[int]) -> None:
        """See sut.load.loadgen.SampleLibrary."""
        self._system.load(SampleSource.of(self._workload, indices))

    def unload_samples(self, indices: Sequence[int]) -> None:
        """Do nothing: the next load replaces the samples."""


class Trial:
    """One test, from its request to LoadGen's return."""

    def __init__(self, request: TrialRequest, parent: Parent) -> None:
        self._request = request
        self._parent = parent
        self._out = Path(request.out_dir)
        self._ended = threading.Event()  # LoadGen returned, or a batch failed
        self._returned = threading.Event()
        self._failure: Failure | None = None
        self._error: BaseException | None = None
        self._hang_s = request.limits.hang_s
        self._count: Callable[[], None] = _nothing

    def run(self) -> int:
        """Run the test; return the process's exit code."""
        request, parent = self._request, self._parent
        recorder = TraceWriter(self._out / TRACE_FILE, Rooms.of_bytes(request.trace_bytes))
        outlets = Outlets(loadgen.complete, recorder, self._fail)
        closed_loop = scenario(request.scenario).arrivals == "closed_loop"
        system = open_system(
            request, outlets, request.limits, request.lent, closed_loop=closed_loop
        )
        with heard_by(lambda text: parent.tell("opening", step=text)):
            facts = system.open()
        parent.tell("engines", facts=facts)
        given = parent.samples()
        library = Library(replace(request.workload, samples=given.samples), system)
        conf = self._prepare(system, library, given.user_conf)
        front = system.front()
        self._count = lambda: recorder.count(*front.completed)
        parent.tell("start", user_conf=conf)

        def start() -> None:
            try:
                loadgen.run(self._test(), front, library, self._fail_callback, system.sut_name)
            except BaseException as error:  # noqa: BLE001 - raised again on the main thread
                self._error = error
            self._returned.set()
            self._ended.set()

        collector_off()
        # Not on the main thread, which must receive signals while LoadGen runs.
        threading.Thread(target=start, name="loadgen", daemon=True).start()
        while not self._ended.wait(child.LOOK_S):
            self._count()
            self._look(front)
        self._count()
        return self._finish(system)

    def end_now(self, signum: int, frame: object) -> None:
        """Exit, because LoadGen cannot be stopped. The trace is already in its file."""
        self._count()
        os._exit(EXIT_SIGTERM)

    def _look(self, front: Front) -> None:
        """Fail the run if a batch takes much longer than the longest in warm-up."""
        if (text := child.hang(front, self._hang_s)) is not None:
            self._fail(Failure(text, ""))

    def _prepare(
        self, system: System, library: Library, given: dict[str, Number]
    ) -> dict[str, Number]:
        """Warm up with the first samples, then write the user.conf that LoadGen reads."""
        request = self._request
        rules = scenario(request.scenario)
        warm = range(min(library.total_count, request.harness.max_batch_size))
        library.load_samples(warm)
        measured = system.warm_up(
            warm, rules.samples_per_query, request.warm_up_s, _bound_ns(rules, request, given)
        )
        self._parent.tell("warm", capacity=measured)
        self._hang_s = child.hang_limit_s(measured, request.harness, request.limits.hang_s)
        derived = rules.settings(request.load, measured, given, request.accuracy)
        conf = {**given, **derived}
        if not request.accuracy:  # which issues each sample once
            check_fits(rules, conf, environment.memory_left_bytes())
        text = user_conf.render(request.workload.loadgen_model, request.scenario, conf)
        (self._out / USER_CONF_FILE).write_text(text, encoding="utf-8")
        return conf

    def _test(self) -> loadgen.LoadgenTest:
        request = self._request
        return loadgen.LoadgenTest(
            scenario=request.scenario,
            accuracy=request.accuracy,
            model=request.workload.loadgen_model,
            user_conf=self._out / USER_CONF_FILE,
            out_dir=self._out,
            audit_config=Path(request.audit_config) if request.audit_config else None,
            trace=request.loadgen_trace,
        )

    def _fail(self, failure: Failure) -> None:
        self._failure = self._failure or failure
        self._ended.set()

    def _fail_callback(self, message: str, text: str) -> None:
        self._fail(Failure(message, text))

    def _finish(self, system: System) -> int:
        """Tell the parent how it ended. Does not wait for a LoadGen that cannot return soon."""
        if self._failure is not None:
            child.log(self._failure.traceback)
            self._parent.tell("failed", message=self._failure.message, text=self._failure.traceback)
            self._returned.wait(FAILURE_GRACE_S)
            return EXIT_FAILED
        if self._error is not None:
            raise self._error
        # The result is complete: no engine may spoil it by how it ends.
        self._parent.tell("done", counts=system.counts())
        system.close()
        return 0


def _bound_ns(rules: Scenario, request: TrialRequest, conf: Mapping[str, Number]) -> float | None:
    """Return the latency bound of a sample; None for a scenario without one."""
    asked_ms = request.load.target_latency_ms or conf.get("target_latency")
    return asked_ms * NS_PER_MS if rules.has_bound and asked_ms is not None else None


def act(text: bytes, parent: Parent) -> int:
    """Run the test of a request; return the exit code."""
    fastbins_off()
    trial = Trial(msgspec.json.decode(text, type=TrialRequest), parent)
    signal.signal(signal.SIGTERM, trial.end_now)
    return trial.run()


def _nothing() -> None:
    """Count nothing: no query has come yet."""


if __name__ == "__main__":
    # LoadGen's destructors must not run while its threads may still run.
    child.end(child.main(act))
