"""Answers a search with the real program: measurements and `sut run`, each in a fresh process.

Knows files, processes and the command line; chooses nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.base.errors import EXIT_INVALID, EXIT_SIGINT
from sut.base.subprocess_call import TrialFailed, last_line, run_apart
from sut.config.prepare import prepared_workload
from sut.record import loadgen_logs
from sut.record.run_folder import BATCHES_FILE, LOG_FILE, TRACE_FILE, read_result
from sut.record.trace import BATCH_FIELDS, TraceReader
from sut.serve.measure import Request
from sut.serve.service_times import Measured
from sut.tuner.messages import Measure, Outcome, Trial
from sut.tuner.model import Model
from sut.tuner.neighbours import Neighbours, wait_for_quiet
from sut.tuner.space import USUAL_SLOTS
from sut.tuner.trace_facts import TraceFacts, trace_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.tuner.job import Candidate, Job, Variant
    from sut.tuner.messages import Ask, Reply

    # Seconds to wait for others to leave the machine alone, and who is told.
    Quiet = tuple[float, Callable[[str], None]]

TRIALS = "trials"
# A trial is looked at this often.
_LOOK_S = 0.25
# A run is hopeless when for so long every batch answered its oldest sample later than so many
# times the bound: the queue grows, and answering it takes longer than the run.
_HOPELESS_S, _HOPELESS_FACTOR = 2.0, 2.0
# Queries that LoadGen asks for at least in a probe, which early stopping does not judge.
_PROBE_QUERIES = 100
# A process that was told to end is killed after this long.
_GRACE_S = 20.0


@dataclass(frozen=True, slots=True)
class Words:
    """The part of `sut run`'s command line that is the same in every trial."""

    words: tuple[str, ...]

    def of(self, trial: Trial, plan: Plan, out: Path) -> list[str]:
        """Return the command line of a trial, without the program."""
        candidate = trial.candidate
        words = [*self.words, *_candidate_words(candidate, plan)]
        words += ["--min-duration-s", f"{trial.seconds:g}"]
        if trial.purpose != "confirm" and plan.scenario == "Server":
            words += ["--min-query-count", str(_PROBE_QUERIES)]
        if trial.target_qps is not None:
            words += ["--target-qps", f"{trial.target_qps:.10g}"]
        return ["run", *words, "--out", str(out), "--json"]


def _candidate_words(candidate: Candidate, plan: Plan) -> list[str]:
    words = ["--max-batch-size", str(candidate.max_batch_size)]
    words += ["--max-queue-delay-us", str(candidate.max_queue_delay_us)]
    words += ["--slots", str(candidate.slots), "--workers", candidate.workers]
    words += ["--instances", str(candidate.variant.instances)]
    for key, value in candidate.variant.options:
        words += ["--set", f"{key}={value}"]
    caps = dict(candidate.caps)
    if caps or plan.harness.device_max_batch_size:
        of_all = {d: caps.get(d, candidate.max_batch_size) for d in plan.harness.devices}
        text = ",".join(f"{device}:{cap}" for device, cap in of_all.items())
        words += ["--device-max-batch-size", text]
    return words


class TrialRunner:
    """Answers one search; the trials are kept below `folder`."""

    def __init__(self, job: Job, plan: Plan, words: Words, folder: Path, quiet: Quiet) -> None:
        self._job = job
        self._plan = plan
        self._words = words
        self._folder = folder
        self._quiet_s, self._say = quiet
        self._measured: dict[Variant, Measured] = {}

    def __call__(self, ask: Ask) -> Reply:
        """Answer.

        Raises:
            TrialFailed: a trial ended without a result; those before are kept.
            KeyboardInterrupt: from the user.
        """
        if isinstance(ask, Measure):
            return self._measure(ask)
        outcome = self._quiet_run(ask)
        if outcome.is_disturbed and not outcome.valid and self._quiet_s:
            again = self._quiet_run(ask)
            return min(outcome, again, key=lambda run: (len(run.disturbances), run.stalled))
        return outcome

    def learn(self, ask: Ask, reply: Reply) -> None:
        """Take note of an answer that the journal gave."""
        if isinstance(ask, Measure) and isinstance(reply, Measured):
            self._measured[ask.variant] = reply

    def command(self, trial: Trial) -> str:
        """Return the command that repeats a trial by hand."""
        words = self._words.of(trial, self._plan, self._folder)
        return " ".join(["sut", *words[: words.index("--out")]])

    def _measure(self, ask: Measure) -> Measured:
        plan, given = self._plan, self._plan.arguments
        harness = replace(
            plan.harness,
            instances=ask.variant.instances,
            backend_options={**plan.harness.backend_options, **dict(ask.variant.options)},
            slots=USUAL_SLOTS,
        )
        workload = prepared_workload(plan.benchmark, harness.backend, given.model, given.data)
        request = Request(workload, harness, ask.sizes, ask.bound_ns)
        answer = run_apart(
            "sut.serve.measure", msgspec.json.encode(request), "measuring batch times"
        )
        measured = msgspec.json.decode(answer, type=Measured)
        self._measured[ask.variant] = measured
        return measured

    def _quiet_run(self, trial: Trial) -> Outcome:
        wait_for_quiet(self._quiet_s, self._say)
        return self._run(trial)

    def _run(self, trial: Trial) -> Outcome:
        trials = self._folder / TRIALS
        trials.mkdir(exist_ok=True)
        numbers = [int(path.name) for path in trials.iterdir() if path.name.isdecimal()]
        out = trials / f"{max(numbers, default=0) + 1:03}"
        words = self._words.of(trial, self._plan, out.absolute())
        neighbours = Neighbours()
        with subprocess.Popen(
            [sys.executable, "-m", "sut", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                stopped = self._watch(process, out)
                _, errors = process.communicate()
            except BaseException:
                _interrupt(process)
                raise
        if process.returncode not in {0, EXIT_INVALID, EXIT_SIGINT} or (
            process.returncode == EXIT_SIGINT and not stopped
        ):
            raise TrialFailed(_failure(trial, errors, out))
        return self._outcome(trial, out, stopped, neighbours.cores())

    def _watch(self, process: subprocess.Popen[str], out: Path) -> str:
        """Wait for the end; stop a run that cannot come back within the bound."""
        if not self._job.bounds or self._plan.scenario != "Server":
            process.wait()
            return ""
        limit_ns = _HOPELESS_FACTOR * self._job.bound.limit_ns
        late = _Late(out / TRACE_FILE, limit_ns)
        while process.poll() is None:
            time.sleep(_LOOK_S)
            if late.for_s() >= _HOPELESS_S:
                process.send_signal(signal.SIGINT)
                return f"the queue grew: every batch was {_HOPELESS_FACTOR:g} bounds late"
        return ""

    def _outcome(self, trial: Trial, out: Path, stopped: str, others: float | None) -> Outcome:
        result = read_result(out)
        devices, stalls = result.device_telemetry, result.issue_stalls
        return Outcome(
            valid=result.valid,
            metric=result.metric.value if result.metric else result.rate,
            samples=result.samples,
            latency_ns=result.latency_ns.by_name() if result.latency_ns else {},
            over=None if stopped else _over(out),
            histogram=result.batches.histogram,
            seconds=result.duration_s,
            stopped=stopped,
            trace_facts=self._trace_facts(trial, out),
            folder=f"{TRIALS}/{out.name}",
            reasons=result.reasons,
            busy=result.harness.engine_busy_fraction,
            others=others,
            stalled=stalls.share if stalls else 0.0,
            power_w=devices.most("average_power_w") if devices else None,
            memory_bytes=devices.most("memory_used_bytes") if devices else None,
        )

    def _trace_facts(self, trial: Trial, out: Path) -> TraceFacts | None:
        variant = trial.candidate.variant
        if variant not in self._measured:
            return None
        curves = [curve for _, curve in Model(self._measured, self._job.bounds).curves(variant)]
        with np.load(out / BATCHES_FILE) as arrays:
            return trace_facts({name: arrays[name] for name in BATCH_FIELDS}, curves)


class _Late:
    """For how long a running test has answered nothing in time."""

    def __init__(self, path: Path, limit_ns: float) -> None:
        self._path = path
        self._limit_ns = limit_ns
        self._reader: TraceReader | None = None
        self._since_s: float | None = None

    def for_s(self) -> float:
        """Look at what is new; return seconds, 0.0 while anything is in time."""
        if self._reader is None:
            if not self._path.exists():
                return 0.0
            self._reader = TraceReader(self._path)
        new = self._reader.new_batches()
        if len(new):
            oldest, completed = (
                new[:, BATCH_FIELDS.index(name)] for name in ("oldest_ns", "completed_ns")
            )
            if int((completed - oldest).min()) <= self._limit_ns:
                self._since_s = None
            elif self._since_s is None:
                self._since_s = time.monotonic()
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s


def _interrupt(process: subprocess.Popen[str]) -> None:
    """End a trial: it writes down what it measured."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _failure(trial: Trial, errors: str, out: Path) -> str:
    where = f" {out / LOG_FILE} has what it printed." if (out / LOG_FILE).exists() else ""
    return (
        f"a {trial.purpose} run failed ({trial.candidate}): {last_line(errors)}{where} What was "
        "measured before is kept; the same command goes on from there."
    )


def _over(out: Path) -> int | None:
    detail = loadgen_logs.read_detail(out / loadgen_logs.DETAIL_FILE)
    found = detail.get("result_overlatency_query_count")
    return int(found) if isinstance(found, int | float) else None
