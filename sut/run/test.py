"""One LoadGen test: prepares data, supervises the test's process, writes the run folder.

Knows files and processes. LoadGen and the engines are in the test's own process.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import msgspec

from backends.base import WITHOUT_MODEL
from data.preprocess import prepare
from scenarios import scenario
from scenarios.base import Capacity, Expected
from sut.base import environment
from sut.base.errors import DataError, SutError
from sut.base.progress import show_progress
from sut.base.steps import say_step
from sut.base.ticker import doing, ticking
from sut.config.prepare import resolve_workload
from sut.config.settings import TrialRequest, TrialSamples
from sut.record import summary
from sut.record.run_folder import CONFIG_FILE, ENVIRONMENT_FILE, LOG_FILE, TRACE_FILE, RunFolder
from sut.record.trace_reader import TraceReader
from sut.run import config_file, measured, network
from sut.run.live import LiveLine, Progress, Screen, WaitingLine
from sut.run.supervisor import Supervisor
from sut.telemetry.recorder import Recorder

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.preprocess import SampleSet
    from sut.config.harness import Setting
    from sut.config.plan import Plan
    from sut.config.settings import Lent
    from sut.config.workload import Workload
    from sut.record.result import Result
    from sut.record.trace import Trace
    from sut.serve.workers.keeper import Keeper

    # Reads what is new in the trace; returns why the test must end now, or None to continue.
    Watch = Callable[[TraceReader], str | None]

# Of all tests of the command.
SCREEN = Screen()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a test shares with the command that runs it.

    Attributes:
        watch: see sut.run.run.run.
        quiet: print nothing.
        keeper: keeps worker processes for the next test; None: each test starts its own.
    """

    watch: Watch | None = None
    quiet: bool = False
    keeper: Keeper | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A test that ended without a failure.

    Attributes:
        result: what its summary.json holds.
        interrupted: the signal that came during the test; None: the caller may continue.
    """

    result: Result
    interrupted: signal.Signals | None


class _Stopped(Exception):
    """A signal came while the samples were prepared."""


class Test:
    """One LoadGen test in one run folder."""

    __test__ = False  # not pytest's

    def __init__(
        self, plan: Plan, out_dir: Path, command: str, surroundings: Surroundings, *, accuracy: bool
    ) -> None:
        self._plan = plan
        self._out = out_dir
        self._command = command
        self._surroundings = surroundings
        self._accuracy = accuracy
        self._samples: SampleSet | None = None
        self._conf: dict[str, Setting] = {}
        self._interrupted = False
        self._recorder = Recorder(plan.harness.backend, plan.harness.local_devices, out_dir)

    def run(self) -> Ended:
        """Run it.

        Raises:
            SutError: bad input, with nothing left behind; or a failure, with the logs kept.
        """
        plan = self._plan
        workload = resolve_workload(plan.benchmark, plan.harness.backend, plan.arguments.model)
        with RunFolder(self._out) as folder:
            request = self._request(workload)
            with (
                self._recorder,
                self._lent() as lent,
                Supervisor(replace(request, lent=lent)) as trial,
            ):
                self._recorder.follow([trial.pid, *(worker.pid for worker in lent)])
                done = self._open(trial)
                if done:
                    devices = [device for _, device in plan.harness.engine_devices()]
                    self._recorder.engines(measured.facts(trial), devices)
                    done = self._start(trial, workload) and self._watch(trial)
                self._interrupted = trial.interrupted is not None
                with self._writing():
                    result = self._finish(folder, trial, workload, done=done)
            return Ended(result, trial.interrupted)

    def _writing(self) -> AbstractContextManager[object]:
        what = "writing the results"
        if self._surroundings.quiet:
            return doing(what)
        return ticking(f"{self._plan.scenario}: {what}")

    def _open(self, trial: Supervisor) -> bool:
        """Wait until the engines are open; it can take minutes when something is compiled."""
        workers = len(list(self._plan.harness.worker_devices()))
        count = f"{workers} engines" if workers > 1 else "the engine"
        label = f"{self._plan.scenario}: opening {count}"
        return self._wait(
            trial, "engines", label, lambda: str(trial.event("opening").get("step", ""))
        )

    def _wait(
        self, trial: Supervisor, event: str, label: str, step: Callable[[], str] = str
    ) -> bool:
        """Wait for an event, and say how long it takes."""
        if self._surroundings.quiet:
            with doing(label.removeprefix(f"{self._plan.scenario}: ")):
                return trial.wait_to_open(event, lambda: say_step(step()))
        line = WaitingLine(label, SCREEN, step)
        try:
            return trial.wait_to_open(event, line)
        finally:
            line.close()

    @contextmanager
    def _lent(self) -> Iterator[tuple[Lent, ...]]:
        """Lend kept worker processes to the test; one that fails or is interrupted spoils them."""
        keeper, harness = self._surroundings.keeper, self._plan.harness
        if keeper is None:
            yield ()
            return
        workers = harness.process_workers()
        with (self._out / LOG_FILE).open("ab") as log, keeper.lend(workers, log) as lent:
            yield tuple(lent)
            if self._interrupted:  # the command ends now, whatever its engines do
                keeper.discard(workers)

    def _request(self, workload: Workload) -> TrialRequest:
        plan = self._plan
        return TrialRequest(
            scenario=plan.scenario,
            accuracy=self._accuracy,
            out_dir=str(self._out.absolute()),
            load=plan.arguments.load,
            workload=workload,
            harness=plan.harness,
            audit_config=_absolute(plan.arguments.audit_config),
            loadgen_trace=plan.arguments.loadgen_trace,
            trace_bytes=plan.arguments.trace_bytes,
        )

    def _start(self, trial: Supervisor, workload: Workload) -> bool:
        """Prepare the samples and start the test."""
        plan = self._plan
        if plan.harness.backend not in WITHOUT_MODEL or plan.arguments.data is not None:
            try:
                self._samples = self._prepare(trial)
            except _Stopped:
                return False
            if plan.arguments.mode != "performance":
                _check_labels(plan.benchmark, self._samples, measured.facts(trial))
        images = plan.arguments.network == "jpeg"
        samples = workload.with_samples(self._samples, images=images).samples
        assert samples is not None, "with_samples sets them"
        self._conf = plan.loadgen_settings(samples.count)
        values = {key: cast("float", setting.value) for key, setting in self._conf.items()}
        trial.send(TrialSamples(samples, values))
        if not self._wait(trial, "start", f"{plan.scenario}: loading samples and warming up"):
            return False
        if plan.harness.chooses_batch and not self._surroundings.quiet:
            found = msgspec.convert(trial.event("warm")["capacity"], Capacity)
            print(f"{plan.scenario}: warm-up chose batches of up to {found.max_batch_size} samples")
        return True

    def _prepare(self, trial: Supervisor) -> SampleSet:
        plan = self._plan

        def stop_or(show: Callable[[int, int | None], None]) -> Callable[[int, int | None], None]:
            def progress(done: int, total: int | None) -> None:
                if trial.interrupted is not None:
                    raise _Stopped
                show(done, total)

            return progress

        if self._surroundings.quiet:
            return prepare(plan.benchmark, plan.arguments.data, progress=stop_or(_no_progress))
        with show_progress(f"preparing samples of {plan.benchmark.name}") as show:
            return prepare(plan.benchmark, plan.arguments.data, progress=stop_or(show))

    def _watch(self, trial: Supervisor) -> bool:
        """Wait for the end of the test; False if it ended early."""
        watch = self._surroundings.watch
        reader = TraceReader(self._out / TRACE_FILE)
        line = None if self._surroundings.quiet else self._live_line(trial)

        def look() -> str | None:
            if line is not None:
                line()
            return None if watch is None else watch(reader)

        try:
            with doing("running", self._expected(trial).seconds):
                return trial.wait_for("done", look)
        finally:
            if line is not None:
                line.close()

    def _live_line(self, trial: Supervisor) -> LiveLine:
        mode = "accuracy" if self._accuracy else "performance"
        progress = Progress(TraceReader(self._out / TRACE_FILE))
        expected = self._expected(trial)
        return LiveLine(f"{self._plan.scenario} {mode}", progress, expected, SCREEN)

    def _expected(self, trial: Supervisor) -> Expected:
        conf = cast("Mapping[str, float]", trial.event("start")["user_conf"])
        if self._accuracy:
            return Expected(samples=self._count())
        return scenario(self._plan.scenario).expected(conf)

    def _count(self) -> int:
        if self._samples is None:
            return self._plan.benchmark.performance_sample_count
        return self._samples.count

    def _finish(
        self, folder: RunFolder, trial: Supervisor, workload: Workload, *, done: bool
    ) -> Result:
        """Write the files of the run folder."""
        trace = self._saved_trace(folder)
        folder.free_reserve()
        folder.write_yaml(CONFIG_FILE, self._config(trial, workload))
        engines = measured.facts(trial)
        shown = {**environment.fingerprint(), "engines": engines}
        travelled = network.described(self._plan, engines, measured.counts(trial))
        if travelled is not None:
            shown["network"] = travelled
        folder.write_json(ENVIRONMENT_FILE, shown)
        devices = self._recorder.finish(summary.window(trace), trace.total_samples)
        left = measured.Left(self._out, trial, trace, devices, self._samples)
        tell = measured.complete if done else measured.interrupted
        try:
            result = tell(self._plan, self._command, left, accuracy=self._accuracy)
        except DataError as error:  # the run's own logs are no bad input: they are kept
            raise SutError(f"{error} {folder.space()}") from error
        findings = (*result.findings, *folder.problems, *self._recorder.problems)
        result = msgspec.structs.replace(result, findings=findings)
        folder.write_result(result)
        return result

    def _saved_trace(self, folder: RunFolder) -> Trace:
        if self._surroundings.quiet or not folder.has_long_trace():
            return folder.save_trace()
        with show_progress("reading and saving the trace") as show:
            show(0, 1)
            return folder.save_trace()

    def _config(self, trial: Supervisor, workload: Workload) -> dict[str, object]:
        written = cast("Mapping[str, object]", trial.event("start").get("user_conf", {}))
        return {
            **config_file.harness_section(self._plan),
            "mode": "accuracy" if self._accuracy else "performance",
            "loadgen": config_file.loadgen_section(self._plan, self._conf, written),
            "model": config_file.model_section(workload.model),
            "data": config_file.data_section(self._samples),
            "command": self._command,
        }


def _check_labels(
    benchmark: Benchmark, samples: SampleSet, engines: Sequence[Mapping[str, object]]
) -> None:
    """Refuse an accuracy run whose labels are missing, or are no answers of the model."""
    where = samples.description
    if samples.labels is None:
        raise DataError(
            f"{where}: no labels; an accuracy run needs them. Name them in the benchmark's "
            "dataset, or use --mode performance."
        )
    for engine in engines:
        classes = engine.get("classes")
        if isinstance(classes, int):
            declared = getattr(benchmark.dataset, "classes", None)
            benchmark.postprocess.check_labels(samples.labels, declared, classes, where)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _no_progress(done: int, total: int | None) -> None:
    """Show nothing."""
