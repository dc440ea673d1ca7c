"""One tuning from its folder: what was answered before is taken from there, the rest is run.

Shows what is tried, what was learnt, the best so far and the time left.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sut.serve.service_times import Measured
from sut.tuner.drive import drive
from sut.tuner.journal import Journal, Predictions
from sut.tuner.messages import Measure, Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from pathlib import Path

    from sut.tuner.job import Job
    from sut.tuner.messages import Answer, Ask, Reply, Search
    from sut.tuner.trial_runner import TrialRunner

    MakeSearch = Callable[[Job, MutableMapping[str, float], Callable[[str], None]], Search]

MS = 1e6
# Seconds from one trial's run to the next one's: processes start, engines open.
_BETWEEN_S = 2.0


class Session:
    """A tuning and its folder."""

    def __init__(
        self, job: Job, folder: Path, settings: Mapping[str, object], say: Callable[[str], None]
    ) -> None:
        self._job = job
        self._folder = folder
        self._journal = Journal(folder, settings)
        self._say = say
        self._trials = 0
        self._best = 0.0
        self._runs = {"probe": 0, "confirm": 0, "search": 0}

    @property
    def entries(self) -> list[tuple[Ask, Reply]]:
        """All questions and answers so far."""
        return self._journal.entries

    def run(self, make: MakeSearch, executive: TrialRunner) -> Answer:
        """Search to the end.

        Raises:
            SutError: a trial failed, or nothing fits; what was measured is kept.
            ConfigError: the folder holds another tuning.
        """
        found = self._journal.open()
        if found:
            self._say(f"going on from {self._folder}: {found} answers are there")

        def answer(ask: Ask) -> Reply:
            self._announce(ask)
            start_s = time.monotonic()
            reply, was_known = self._journal.answer(ask, executive)
            executive.learn(ask, reply)
            self._tell(ask, reply, None if was_known else time.monotonic() - start_s)
            return reply

        return drive(make(self._job, Predictions(self._folder), self._say), answer)

    def _announce(self, ask: Ask) -> None:
        if isinstance(ask, Measure):
            text = f" ({ask.variant})" if str(ask.variant) else ""
            self._say(f"measuring S(b){text}: batches of {ask.sizes[0]} to {ask.sizes[-1]}")

    def _tell(self, ask: Ask, reply: Reply, seconds: float | None) -> None:
        took = "known" if seconds is None else f"{seconds:.0f} s"
        if isinstance(reply, Measured):
            for line in (_curve_line(reply), *reply.notes):
                self._say(f"  {line} [{took}]")
        if isinstance(ask, Trial) and isinstance(reply, Outcome):
            self._trials += 1
            self._runs[ask.purpose] += 1
            self._note_best(reply)
            self._say(f"{self._trials}. {self.line(ask, reply)} [{took}{self._left()}]")

    def line(self, trial: Trial, outcome: Outcome) -> str:
        """Return a trial in one line."""
        rate = f" at {trial.target_qps:,.6g}/s" if trial.target_qps else ""
        return f"{trial.purpose} {trial.candidate}{rate}: {_result(self._job, outcome)}"

    def _note_best(self, outcome: Outcome) -> None:
        if outcome.valid and self._job.scenario in {"Server", "Offline"}:
            self._best = max(self._best, outcome.metric)

    def _left(self) -> str:
        best = f", best so far {self._best:,.6g}/s" if self._best else ""
        if self._runs["search"]:
            return best
        job, done = self._job, self._runs
        probes = max(0, (6 if job.scenario == "Server" else 3) - done["probe"])
        probes = 0 if done["confirm"] else probes
        wanted = 2 * job.confirm_runs - 1 if job.scenario == "Server" else job.confirm_runs
        left_s = probes * (job.probe_s + _BETWEEN_S)
        left_s += max(0, wanted - done["confirm"]) * (job.confirm_s + _BETWEEN_S)
        return f"{best}, about {left_s:.0f} s left" if left_s else best


def _result(job: Job, outcome: Outcome) -> str:
    if outcome.stopped:
        return f"stopped early, {outcome.stopped}"
    verdict = "VALID" if outcome.valid else "INVALID"
    parts = [f"{outcome.metric:,.6g} samples/s"] if job.scenario in {"Server", "Offline"} else []
    for bound in job.bounds:
        value_ms = outcome.latency_ns[bound.name] / MS
        parts.append(f"{bound.name} {value_ms:.4g} of {bound.limit_ns / MS:g} ms")
    if outcome.over is not None and job.bounds:
        parts.append(f"{outcome.over:,} of {outcome.samples:,} late")
    if not job.bounds and job.scenario.endswith("Stream"):
        parts.append(f"{outcome.metric / MS:.4g} ms")
    parts += outcome.disturbances
    return f"{', '.join(parts)}, {verdict}"


def _curve_line(measured: Measured) -> str:
    """Return S(b) of the first worker, and how the others differ."""
    _, points = measured.workers[0]
    shown = ", ".join(f"{size}: {point.median_ns / MS:.3g}" for size, point in points.items())
    spread = max(
        (p.high_ns - p.low_ns) / p.median_ns for _, all_ in measured.workers for p in all_.values()
    )
    return f"S(b) in ms: {shown}; {len(measured.workers)} workers, spread up to {spread:.1%}"
