"""One tuning in its folder: runs a search by name and prints its progress.

Known answers come from the journal; the rest is run.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.base.progress import duration
from sut.base.ticker import doing
from sut.serve.service_times import Measured
from sut.tuner import bruteforce, offline, optuna_search, server, streams
from sut.tuner.journal import Journal, Predictions
from sut.tuner.messages import Measure, Outcome, Trial, drive
from sut.tuner.verdict import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from scenarios.base import Scenario
    from sut.tuner.job import Job
    from sut.tuner.messages import Answer, Ask, Known, Reply, Say, Search
    from sut.tuner.trial_runner import TrialRunner

    MakeSearch = Callable[[Job, Known, Say], Search]

MS = 1e6
SEARCHES = ("model", "grid", "bisect", "optuna")
# For scenarios with a latency bound; the others have only the search by the model.
_OTHERS: dict[str, MakeSearch] = {
    "grid": bruteforce.grid,
    "bisect": bruteforce.bisect,
    "optuna": optuna_search.search,
}
# Usual number of probes, with a bound and without.
_USUAL_PROBES = (6, 3)
# Seconds between two runs: processes start, engines open.
_BETWEEN_S = 2.0


def search_of(name: str, scenario: Scenario) -> MakeSearch:
    """Return the function that starts a search, by a name in SEARCHES.

    Raises:
        ConfigError: the scenario has no search of that name.
    """
    if name != "model":
        if not scenario.has_bound:
            raise ConfigError(
                f"--search {name} needs a latency bound at a rate, as in Server; {scenario.name} "
                "has only --search model."
            )
        return _OTHERS[name]
    if scenario.has_bound:
        return server.search
    return offline.search if scenario.objective == "throughput" else streams.search


class Session:
    """A tuning and its folder; `entries` are all questions and answers so far."""

    def __init__(self, job: Job, folder: Path, settings: Mapping[str, object], say: Say) -> None:
        self._job = job
        self._folder = folder
        self._journal = Journal(folder, settings)
        self.entries = self._journal.entries
        self._say = say
        self._best = 0.0
        self._runs: Counter[str] = Counter()

    def run(self, make: MakeSearch, runner: TrialRunner) -> Answer:
        """Search to the end, and judge the answer.

        Raises:
            SutError: a trial failed, or nothing fits; the results so far are kept.
            ConfigError: the folder holds another tuning.
        """
        found = self._journal.open()
        if found:
            self._say(f"continuing from {self._folder}: {found} answers are known")

        def answer(ask: Ask) -> Reply:
            self._announce(ask)
            start_s = time.monotonic()
            with doing(_name(ask)):
                reply, was_known = self._journal.answer(ask, runner)
            runner.learn(ask, reply)
            took = "known" if was_known else f"{time.monotonic() - start_s:.0f} s"
            self._tell(ask, reply, took)
            return reply

        search = make(self._job, Predictions(self._folder), self._say)
        return judged(self._job, drive(search, answer))

    def _announce(self, ask: Ask) -> None:
        if isinstance(ask, Measure):
            text = f" ({ask.variant})" if str(ask.variant) else ""
            self._say(f"measuring S(b){text}: batches of {ask.sizes[0]} to {ask.sizes[-1]}")

    def _tell(self, ask: Ask, reply: Reply, took: str) -> None:
        if isinstance(reply, Measured):
            for line in (str(reply), *reply.notes):
                self._say(f"  {line} [{took}]")
        if isinstance(ask, Trial) and isinstance(reply, Outcome):
            self._runs[ask.purpose] += 1
            if reply.valid and self._job.is_for_throughput:
                self._best = max(self._best, reply.metric)
            rate = f" at {ask.target_qps:,.6g}/s" if ask.target_qps else ""
            line = f"{ask.purpose} {ask.candidate}{rate}: {_result(self._job, reply)}"
            self._say(f"{self._runs.total()}. {line} [{took}{self._left()}]")

    def _left(self) -> str:
        best = f", best so far {self._best:,.6g}/s" if self._best else ""
        if self._runs["search"]:
            return best
        job, done = self._job, self._runs
        has_rate = job.rules.has_bound
        probes = 0 if done["confirm"] else max(0, _USUAL_PROBES[not has_rate] - done["probe"])
        wanted = 2 * job.confirm_runs - 1 if has_rate else job.confirm_runs
        left_s = probes * (job.probe_s + _BETWEEN_S)
        left_s += max(0, wanted - done["confirm"]) * (job.confirm_s + _BETWEEN_S)
        return f"{best}, about {duration(left_s)} left" if left_s else best


def _name(ask: Ask) -> str:
    if isinstance(ask, Measure):
        return "measuring S(b)"
    rate = f"{ask.target_qps:,.6g} queries/s" if ask.target_qps else str(ask.candidate)
    return f"{ask.purpose} at {rate}" if ask.target_qps else f"{ask.purpose} of {rate}"


def _result(job: Job, outcome: Outcome) -> str:
    if outcome.stopped:
        return f"stopped early, {outcome.stopped}"
    verdict = "VALID" if outcome.valid else "INVALID"
    parts = [f"{outcome.metric:,.6g} samples/s"] if job.is_for_throughput else []
    for bound in job.bounds:
        parts.append(bound.reached(outcome.latency_ns[bound.name]))
    if outcome.over is not None and job.bounds:
        parts.append(f"{outcome.over:,} of {outcome.samples:,} late")
    if not job.bounds and not job.is_for_throughput:
        parts.append(f"{outcome.metric / MS:.4g} ms")
    parts += outcome.disturbances
    return f"{', '.join(parts)}, {verdict}"
