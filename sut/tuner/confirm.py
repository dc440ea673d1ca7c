"""Proves a setting by several full-length runs in a row, alternating with the second best.

The rate leaves room below the bound; sut.tuner.learning computes how much.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sut.config import constraints
from sut.tuner.asking import confirm_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.tuner.job import Candidate, Job
    from sut.tuner.learning import Lessons
    from sut.tuner.messages import Outcome, Say, Steps

# Smallest gain for which the rate is raised, and smallest step by which it is lowered.
_LEAST_GAIN, _LEAST_STEP = 0.002, 0.002
# Smallest gain for which a rate between one that holds and one that failed is tried.
_GAIN_AFTER_FAILURE = 0.01
# Largest step down after the first INVALID run, times the percentile in bounds (at most the second
# number), because a single run may have been disturbed. Each next step may be twice as large.
_MOST_STEP, _MOST_EXCESS = 0.03, 2.0
# Most changes of the rate; a higher rate is tried only during the first `_RAISES`.
_CHANGES, _RAISES = 5, 3
# Largest single step down towards a limit on power or busy time.
_MOST_LOAD_STEP = 0.3
# Below this confidence the answer is a knife-edge.
_KNIFE_EDGE = 0.90
# A rival must be better by this much (a logarithm of the percentile) to win.
_CLEARLY = 0.05


@dataclass(slots=True)
class Claim:
    """A candidate at a rate, and its runs.

    Attributes:
        candidate: the settings.
        qps: the rate.
        rival: the second best candidate, if it is still in the race.
        runs: at full length, at this rate.
        rival_runs: of the rival, at the same rate.
        is_proven: enough runs, and all VALID.
        confidence: that the next run will be VALID; None without a proof.
        notes: for the user.
    """

    candidate: Candidate
    qps: float
    rival: Candidate | None = None
    runs: list[Outcome] = field(default_factory=list)
    rival_runs: list[Outcome] = field(default_factory=list)
    is_proven: bool = False
    confidence: float | None = None
    notes: list[str] = field(default_factory=list)


def confirm(job: Job, lessons: Lessons, claim: Claim, say: Say) -> Steps[Claim]:
    """Find the rate that holds, and prove it; the rival runs in between at the same rate."""
    claim = yield from _Proof(job, lessons, claim, say).search()
    _judge(job, lessons, claim)
    rival = claim.rival
    more = _room(lessons, claim.rival_runs) - _room(lessons, claim.runs)
    if rival is not None and all(run.valid for run in claim.rival_runs) and more > _CLEARLY:
        say(f"the second best has more room; confirming it: {rival}")
        theirs = yield from confirm(job, lessons, Claim(rival, claim.qps), say)
        if (theirs.is_proven, theirs.qps) > (claim.is_proven, claim.qps):
            return theirs
    return claim


class _Proof:
    """Looks for the rate of one candidate that holds."""

    def __init__(self, job: Job, lessons: Lessons, claim: Claim, say: Say) -> None:
        self._job = job
        self._lessons = lessons
        self._claim = claim
        self._say = say
        self._changes = self._failures = 0
        self._failed_qps = self._ceiling_qps = math.inf
        self._broke: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def search(self) -> Steps[Claim]:
        """Run until enough runs in a row are VALID at one rate, or the rate changed too often."""
        while len(self._claim.runs) < self._job.confirm_runs:
            claim = self._claim
            run = yield from self._run(claim.candidate, claim.qps)
            qps = self._next_rate(run)
            if qps is not None:
                self._changes += 1
                self._claim = Claim(claim.candidate, qps, claim.rival)
                continue
            claim.runs.append(run)
            if not run.valid:
                claim.runs = [run]
                break
            still_runs = all(run.valid for run in claim.rival_runs)
            if claim.rival and still_runs and len(claim.runs) < self._job.confirm_runs:
                claim.rival_runs.append((yield from self._run(claim.rival, claim.qps)))
        return self._claim

    def _run(self, candidate: Candidate, qps: float) -> Steps[Outcome]:
        outcome = yield from confirm_once(self._job, candidate, qps)
        self._lessons.learn(candidate, qps, outcome, "confirm")
        return outcome

    def _next_rate(self, run: Outcome) -> float | None:
        """Return the next rate after a run; None to keep it."""
        may_change = self._changes < _CHANGES
        if not run.valid:
            return self._below(run) if may_change else None
        broken = constraints.broken(self._job.constraints, run.figures)
        if broken and may_change:
            return self._within(broken)
        return self._above(run) if not self._claim.runs and self._changes < _RAISES else None

    def _below(self, run: Outcome) -> float:
        """Return a lower rate after an INVALID run."""
        qps = self._claim.qps
        self._say(f"INVALID at {qps:,.6g} queries/s: {self._reached(run)}; trying a lower rate")
        self._failed_qps = min(self._failed_qps, qps)
        excess = min(max(1.0, math.exp(-self._lessons.room(run))), _MOST_EXCESS)
        most = _MOST_STEP * 2**self._failures * excess
        self._failures += 1
        safe = min(self._safe_rate(), self._ceiling_qps)
        return rounded(min(qps * (1 - _LEAST_STEP), max(safe, qps * (1 - most))))

    def _within(self, broken: Sequence[tuple[constraints.Constraint, float]]) -> float:
        """Return a rate at which the worst of the broken constraints should hold."""
        qps = self._claim.qps
        worst, value = max(broken, key=lambda pair: pair[1] / pair[0].limit)
        self._say(
            f"at {qps:,.6g} queries/s {worst.text} is not met: {value:.4g}; trying a lower rate"
        )
        self._broke[worst.name].append((qps, value))
        self._ceiling_qps = _rate_within(worst.limit, self._broke[worst.name])
        return self._ceiling_qps

    def _above(self, run: Outcome) -> float | None:
        """Return a higher rate if there is room; never one that failed before."""
        qps, gain = self._claim.qps, _LEAST_GAIN
        safe = min(self._safe_rate(), self._ceiling_qps)
        if self._failed_qps < math.inf:
            safe, gain = min(safe, rounded(math.sqrt(qps * self._failed_qps))), _GAIN_AFTER_FAILURE
        if safe <= qps * (1 + gain):
            return None
        self._say(f"room at {qps:,.6g} queries/s: {self._reached(run)}; trying a higher rate")
        return safe

    def _safe_rate(self) -> float:
        return rounded(self._lessons.safe_rate(self._claim.candidate, self._claim.qps))

    def _reached(self, run: Outcome) -> str:
        return self._job.bound.reached(run.latency_ns[self._job.bound.name])


def rounded(qps: float) -> float:
    """Round a rate down, by at most 0.05 %, for people who read user.conf."""
    if qps <= 0:
        return 0.0
    step = 5 * 10 ** (math.floor(math.log10(qps)) - 4)
    return float(f"{math.floor(qps / step) * step:.8g}")


def _rate_within(limit: float, points: Sequence[tuple[float, float]]) -> float:
    """Return a rate at which a figure should be within its limit.

    Args:
        limit: of the figure.
        points: (rate, figure) of runs above it, the lowest rate last.
    """
    (qps, value), slope = points[-1], points[-1][1] / points[-1][0]
    if len(points) > 1:  # an idle device also draws power, so it is not proportional
        before_qps, before = points[-2]
        rise = (before - value) / (before_qps - qps)
        slope = rise if rise > 0 else slope
    aim = (qps - (value - limit) / slope) * (1 - _LEAST_STEP)
    return rounded(min(max(aim, qps * (1 - _MOST_LOAD_STEP)), qps * (1 - _LEAST_STEP)))


def _judge(job: Job, lessons: Lessons, claim: Claim) -> None:
    """Note how sure the claim is, and how near the edge."""
    name, limit_ms = job.bound.name, job.bound.limit_ms
    claim.is_proven = len(claim.runs) >= job.confirm_runs and all(r.valid for r in claim.runs)
    values_ms = [run.latency_ns[name] / 1e6 for run in claim.runs]
    claim.notes.append(
        f"{name} was {min(values_ms):.3g} to {max(values_ms):.3g} of {limit_ms:g} ms in "
        f"{len(values_ms)} run(s); 1 % more load raises it by "
        f"{lessons.steepness(claim.candidate, claim.qps):.0%}."
    )
    if claim.is_proven:
        claim.confidence = lessons.confidence(claim.candidate, claim.qps)
        claim.notes.append(f"The next run is VALID with a confidence of {claim.confidence:.0%}.")
        if claim.confidence < _KNIFE_EDGE:
            claim.notes.append(
                "Knife-edge: this setting may be INVALID tomorrow. Lower the rate by 1 % before "
                "you publish it."
            )
    if claim.rival_runs:
        more = _room(lessons, claim.rival_runs) - _room(lessons, claim.runs)
        verdict = "as good, as far as runs can tell,"
        if not all(run.valid for run in claim.rival_runs) or more < -_CLEARLY:
            verdict = "closer to the bound"
        elif more > _CLEARLY:
            verdict = "further from the bound"
        claim.notes.append(f"The second best, {claim.rival}, is {verdict} at the same rate.")


def _room(lessons: Lessons, runs: Sequence[Outcome]) -> float:
    """Return the mean logarithm of the room below the bound; far below 0 without runs."""
    return math.fsum(map(lessons.room, runs)) / len(runs) if runs else -math.inf
