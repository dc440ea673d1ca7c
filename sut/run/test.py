"""One run from plan to run folder: prepares data, supervises the tests, writes what they measured.

Knows files and processes; never LoadGen or an engine: those live in the test's own process.
"""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from backends.base import WITHOUT_MODEL, TensorSpec
from data.accuracy import score
from data.model import resolve_model
from data.preprocess import prepare
from scenarios import records, scenario
from sut.base import environment
from sut.base.errors import EXIT_SIGINT, EXIT_SIGTERM, DataError, SutError
from sut.base.progress import show_progress
from sut.config.settings import TrialRequest, TrialSamples
from sut.record import loadgen_logs, stalls, summary
from sut.record.run_folder import (
    ACCURACY_FILE,
    ACCURACY_LOG,
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    SUMMARY_FILE,
    TRACE_FILE,
    RunFolder,
)
from sut.record.trace import TraceReader
from sut.run.live import Expected, LiveLine, Progress
from sut.run.supervisor import Supervisor
from sut.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from data.model import ResolvedModel
    from data.preprocess import SampleSet
    from scenarios.base import Detail
    from sut.config.plan import Plan, Setting
    from sut.record.trace import Trace

    Summary = dict[str, object]


class Interrupted(SutError):
    """A signal ended the run; what was measured so far is in the run folder."""

    def __init__(self, number: signal.Signals, kept: Summary) -> None:
        super().__init__(f"interrupted by {number.name}; what was measured is kept")
        self.summary = kept
        self.code = EXIT_SIGINT if number is signal.SIGINT else EXIT_SIGTERM


def run(plan: Plan, out_dir: Path, command: str) -> Summary:
    """Run one scenario in the plan's mode; return what is in its summary.json.

    Raises:
        SutError: bad input, with nothing left behind; or a failure, with the logs kept.
        Interrupted: by SIGINT or SIGTERM.
    """
    mode = plan.arguments.mode
    if mode != "submission":
        return Test(plan, out_dir, command, accuracy=mode == "accuracy").run()
    with RunFolder(out_dir) as folder:
        try:
            performance = Test(plan, out_dir / "performance", command, accuracy=False).run()
            accuracy = Test(plan, out_dir / "accuracy", command, accuracy=True).run()
        except Interrupted as interruption:
            folder.write_json(SUMMARY_FILE, {**interruption.summary, "mode": mode, "valid": False})
            raise
        both = {**performance, "mode": mode, "accuracy": accuracy["accuracy"]}
        both["valid"] = bool(performance["valid"] and accuracy["valid"])
        both["reasons"] = [*_list(performance["reasons"]), *_list(accuracy["reasons"])]
        lines = [*_list(performance["findings"]), *_list(accuracy["findings"])]
        both["findings"] = list(dict.fromkeys(lines))
        folder.write_json(SUMMARY_FILE, both)
    return both


class _Stopped(Exception):
    """A signal came while samples were prepared."""


class Test:
    """One LoadGen test in one run folder."""

    __test__ = False  # not pytest's

    def __init__(self, plan: Plan, out_dir: Path, command: str, *, accuracy: bool) -> None:
        self._plan = plan
        self._out = out_dir
        self._command = command
        self._accuracy = accuracy
        self._rules = scenario(plan.scenario)
        self._samples: SampleSet | None = None
        self._conf: dict[str, Setting] = {}
        self._recorder = Recorder(plan.harness, out_dir)

    def run(self) -> Summary:
        """Run it; return its summary."""
        model = self._model()
        with RunFolder(self._out) as folder:
            request = self._request(model)
            with self._recorder, Supervisor(request) as trial:
                self._recorder.follow(trial.pid)
                done = trial.wait_for("engines", _nothing)
                if done:
                    done = self._start(trial) and self._watch(trial)
                result = self._finish(folder, trial, model, done)
                if trial.interrupted is not None:  # too late for this test, in time for the next
                    raise Interrupted(trial.interrupted, result)
                return result

    def _model(self) -> ResolvedModel | None:
        if self._plan.harness.backend in WITHOUT_MODEL:
            return None
        return resolve_model(self._plan.benchmark, self._plan.arguments.model)

    def _request(self, model: ResolvedModel | None) -> TrialRequest:
        plan, benchmark = self._plan, self._plan.benchmark
        tensor = benchmark.input
        return TrialRequest(
            scenario=plan.scenario,
            accuracy=self._accuracy,
            loadgen_model=benchmark.loadgen_name,
            out_dir=str(self._out.absolute()),
            load=plan.arguments.load,
            model_path=None if model is None else str(model.path.absolute()),
            input=TensorSpec(tensor.name, tensor.shape, tensor.dtype),
            output_name=benchmark.output,
            postprocess=benchmark.postprocess,
            performance_sample_count=benchmark.performance_sample_count,
            harness=plan.harness,
            audit_config=_absolute(plan.arguments.audit_config),
            loadgen_trace=plan.arguments.loadgen_trace,
        )

    def _start(self, trial: Supervisor) -> bool:
        """Prepare the samples and let the test begin."""
        plan = self._plan
        path, count = "", plan.benchmark.performance_sample_count
        if plan.harness.backend not in WITHOUT_MODEL or plan.arguments.data is not None:
            try:
                self._samples = self._prepare(trial)
            except _Stopped:
                return False
            path, count = str(self._samples.path.absolute()), self._samples.count
            if plan.arguments.mode != "performance" and self._samples.labels is None:
                raise DataError(
                    f"{self._samples.description}: it has no labels, and an accuracy run needs "
                    "them. Name a CSV file of labels in the benchmark, or use --mode performance."
                )
        self._conf = plan.loadgen_settings(count)
        values = {key: cast("float", setting.value) for key, setting in self._conf.items()}
        trial.send(TrialSamples(path, count, values))
        return trial.wait_for("start", _nothing)

    def _prepare(self, trial: Supervisor) -> SampleSet:
        plan = self._plan
        with show_progress(f"preparing samples of {plan.benchmark.name}") as show:

            def progress(done: int, total: int | None) -> None:
                if trial.interrupted is not None:
                    raise _Stopped
                show(done, total)

            return prepare(plan.benchmark, plan.arguments.data, progress=progress)

    def _watch(self, trial: Supervisor) -> bool:
        mode = "accuracy" if self._accuracy else "performance"
        progress = Progress(TraceReader(self._out / TRACE_FILE))
        line = LiveLine(f"{self._plan.scenario} {mode}", progress, self._expected(trial))
        try:
            return trial.wait_for("done", line)
        finally:
            line.close()

    def _expected(self, trial: Supervisor) -> Expected:
        conf = cast("Mapping[str, float]", trial.event("start")["user_conf"])
        if self._accuracy:
            return Expected(samples=self._count())
        seconds = conf.get("min_duration", 600_000.0) / 1e3
        if self._plan.scenario != "Offline":
            queries = int(conf.get("min_query_count", 1))
            return Expected(seconds=seconds, samples=queries * self._rules.samples_per_query)
        by_rate = 1.1 * seconds * conf.get("target_qps", 1.0)  # 10 % more is LoadGen's own margin
        return Expected(samples=int(max(by_rate, conf.get("min_query_count", 1))))

    def _count(self) -> int:
        if self._samples is None:
            return self._plan.benchmark.performance_sample_count
        return self._samples.count

    def _finish(
        self, folder: RunFolder, trial: Supervisor, model: ResolvedModel | None, done: bool
    ) -> Summary:
        """Write the files of the run folder from what the test left."""
        trace = folder.save_trace()
        folder.write_yaml(CONFIG_FILE, self._config(trial, model))
        facts = trial.event("engines").get("facts", [])
        folder.write_json(ENVIRONMENT_FILE, {**environment.fingerprint(), "engines": facts})
        result = self._summary(trial, trace)
        samples = int(trace.batches["samples"].sum())
        result |= self._recorder.finish(summary.window(trace), samples)
        number = trial.interrupted
        found = self._stalls(trace)
        result["issue_stalls"] = None if found is None else asdict(found)
        if done:
            detail = loadgen_logs.read_detail(self._out / loadgen_logs.DETAIL_FILE)
            result.update(self._measured(detail))
            if not self._accuracy and found is not None:
                bound_ns = records.number(detail, "effective_target_latency_ns")
                line = stalls.finding(found, bound_ns)
                result["findings"] = [*_list(result["findings"]), *([line] if line else [])]
        else:
            assert number is not None, "a test that is not done ended with an error or a signal"
            kept_s = summary.duration_s(trace)
            result["interrupted"] = number.name
            result["reasons"] = [f"Interrupted by {number.name} after {kept_s:.1f} s of the test."]
        folder.write_json(SUMMARY_FILE, result)
        return result

    def _summary(self, trial: Supervisor, trace: Trace) -> Summary:
        """What holds for a complete and for an interrupted test."""
        plan = self._plan
        engines = cast("list[dict[str, object]]", trial.event("engines").get("facts", []))
        workers = [name for name, _ in plan.harness.worker_devices()]
        return {
            "benchmark": plan.benchmark.name,
            "scenario": plan.scenario,
            "mode": "accuracy" if self._accuracy else "performance",
            "round": plan.arguments.round,
            "system": plan.system,
            "backend": plan.harness.backend,
            "simulated": any(e["simulated"] for e in engines),
            "synthetic_data": self._samples is None or self._samples.synthetic,
            "valid": False,
            "interrupted": None,
            "reasons": [],
            "metric": None,
            "latency_ns": summary.latency_ns(trace),
            "samples": int(trace.batches["samples"].sum()),
            "duration_s": summary.duration_s(trace),
            "batches": summary.batches(trace),
            "parts_ns": summary.parts_ns(trace),
            "harness": {
                "engine_busy_fraction": summary.busy_fractions(trace, workers),
                "warm_up": trial.event("warm").get("capacity"),
            },
            "accuracy": None,
            "closed_problems": plan.closed_problems(),
            "versions": environment.versions(),
            "command": self._command,
        }

    def _measured(self, detail: Detail) -> Summary:
        """What LoadGen's logs say of a complete test."""
        reasons = [str(reason) for reason in self._rules.reasons(detail)]
        measured: Summary = {"valid": not reasons, "reasons": reasons}
        if self._accuracy:
            measured["accuracy"] = self._score()
        else:
            measured["metric"] = asdict(self._rules.metric(detail))
            measured["latency_ns"] = self._rules.latency_ns(detail)
        return measured

    def _stalls(self, trace: Trace) -> stalls.Stalls | None:
        """Find them where LoadGen's thread does nothing but hand over queries as they come."""
        if not self._rules.is_poisson or self._plan.harness.workers == "inline":
            return None
        return stalls.find(trace.queries["arrival_ns"], int(trace.queries["samples"].sum()))

    def _score(self) -> Summary | None:
        samples = self._samples
        if samples is None or samples.labels is None:
            return None
        rule = self._plan.benchmark.accuracy
        result = score(
            self._out / ACCURACY_LOG,
            samples.labels,
            rule.target,
            metric=rule.metric,
            official_count=rule.count,
        )
        (self._out / ACCURACY_FILE).write_text(result.line + "\n", encoding="utf-8")
        return {
            "metric": result.metric,
            "value": result.value,
            "target": result.target,
            "n": result.n,
            "good": result.good,
            "interval_95": [result.interval_low, result.interval_high],
            "verdict": result.verdict,
        }

    def _source(self, key: str, value: object) -> str:
        """Say where one of LoadGen's keys came from."""
        given = self._conf.get(key)
        if given is not None and given.value == value:
            return given.source
        option = _OPTIONS.get(key)
        if option is not None and getattr(self._plan.arguments.load, option) is not None:
            return "command line"
        return "scenario, from warm-up"

    def _config(self, trial: Supervisor, model: ResolvedModel | None) -> Summary:
        """config.yaml: every resolved value with its source, and what the run was made of."""
        plan, samples = self._plan, self._samples
        written = cast("Mapping[str, object]", trial.event("start").get("user_conf", {}))
        loadgen = {
            key: {"value": value, "source": self._source(key, value)}
            for key, value in written.items()
        }
        return {
            "benchmark": {"name": plan.benchmark.name, "file": str(plan.benchmark.file)},
            "scenario": plan.scenario,
            "mode": "accuracy" if self._accuracy else "performance",
            "round": plan.arguments.round,
            "system": plan.system,
            "harness": {name: _plain(setting) for name, setting in plan.settings.items()},
            "loadgen": loadgen,
            "model": None
            if model is None
            else {"path": str(model.path), "sha256": model.sha256, "origin": model.origin},
            "data": None
            if samples is None
            else {
                "description": samples.description,
                "count": samples.count,
                "digest": samples.digest,
            },
            "command": self._command,
        }


# LoadGen's keys that options of the command line set.
_OPTIONS = {
    "target_qps": "target_qps",
    "target_latency": "target_latency_ms",
    "min_duration": "min_duration_s",
    "min_query_count": "min_query_count",
}


def _plain(setting: Setting) -> Summary:
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    return {"value": value, "source": setting.source}


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _nothing() -> None:
    """Nothing to show while engines open."""
