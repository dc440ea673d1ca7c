"""Proves a setting: runs at full length, several in a row, beside the next best candidate.

The rate leaves a margin below the bound, chosen from the spread seen between runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sut.tuner import constraints, student
from sut.tuner.messages import Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sut.tuner.job import Candidate, Job
    from sut.tuner.learning import Lessons
    from sut.tuner.messages import Ask, Reply

# A rate is raised only for a gain beyond this, and lowered by no less than this.
_LEAST_GAIN, _LEAST_STEP = 0.002, 0.002
# Between a rate that failed and one that holds there must be more to gain than this.
_GAIN_AFTER_FAILURE = 0.01
# The first INVALID run lowers it by no more than this, times the percentile in bounds (at most the
# second): a single one may have been disturbed. The next may lower it by twice as much, and so on.
_MOST_STEP, _MOST_EXCESS = 0.03, 2.0
# Changes of the rate; a higher one is tried while fewer than `_RAISES` were made.
_CHANGES, _RAISES = 5, 3
# Towards a limit on power or busy time the load falls by no more than this at once.
_MOST_LOAD_STEP = 0.3
# Below this confidence the answer is called a knife-edge.
_KNIFE_EDGE = 0.90
# A rival must be better by this (a logarithm of the percentile) to win.
_CLEARLY = 0.05


@dataclass(slots=True)
class Claim:
    """A candidate at a rate, and its runs.

    Attributes:
        candidate: the settings.
        qps: the rate.
        runs: at full length, at this rate.
        is_proven: all were VALID, as many as asked for.
        confidence: that the next will be VALID.
        rival: the next best candidate, if one was run.
        rival_runs: its runs at the same rate.
        notes: in words.
    """

    candidate: Candidate
    qps: float
    runs: list[Outcome] = field(default_factory=list)
    is_proven: bool = False
    confidence: float = 0.0
    rival: Candidate | None = None
    rival_runs: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def confirm(  # noqa: PLR0913 - two candidates and their rate
    job: Job,
    lessons: Lessons,
    candidate: Candidate,
    qps: float,
    rival: Candidate | None,
    say: Callable[[str], None],
) -> Generator[Ask, Reply, Claim]:
    """Find the rate that holds, and prove it; the rival runs in between, at the same rate."""
    claim = Claim(candidate, rounded(qps), rival=rival)
    changes, failures, ceiling, failed = 0, 0, math.inf, math.inf
    broke: dict[str, list[tuple[float, float]]] = defaultdict(list)
    while len(claim.runs) < job.confirm_runs:
        run = yield from _run(job, lessons, claim.candidate, claim.qps)
        safe = _safe_rate(lessons, claim.candidate, claim.qps)
        broken = constraints.broken(job.constraints, run.figures)
        if run.valid and broken and changes < _CHANGES:
            worst, value = max(broken, key=lambda pair: pair[1] / pair[0].limit)
            say(f"at {claim.qps:,.6g} queries/s {worst.text} is broken: {value:.4g}; a lower rate")
            changes += 1
            broke[worst.name].append((claim.qps, value))
            ceiling = _rate_within(worst.limit, broke[worst.name])
            claim = Claim(claim.candidate, ceiling, rival=rival)
            continue
        safe = min(safe, ceiling)
        if not run.valid:
            if changes >= _CHANGES:
                claim.runs = [run]
                break
            say(f"INVALID at {claim.qps:,.6g} queries/s: {_why(job, run)}; a lower rate is tried")
            changes += 1
            failed = min(failed, claim.qps)
            excess = min(max(1.0, math.exp(-lessons.room(run))), _MOST_EXCESS)
            most = _MOST_STEP * 2**failures * excess
            claim = Claim(claim.candidate, _lower(claim.qps, safe, most), rival=rival)
            failures += 1
            continue
        claim.runs.append(run)
        is_first = len(claim.runs) == 1
        gain = _LEAST_GAIN
        if failed < math.inf:  # a rate that failed is not returned to: halfway at most
            safe, gain = min(safe, rounded(math.sqrt(claim.qps * failed))), _GAIN_AFTER_FAILURE
        if is_first and changes < _RAISES and safe > claim.qps * (1 + gain):
            changes += 1
            say(f"room at {claim.qps:,.6g} queries/s: {_why(job, run)}; a higher rate is tried")
            claim = Claim(claim.candidate, safe, rival=rival)
            continue
        if rival is not None and len(claim.runs) < job.confirm_runs:
            other = yield from _run(job, lessons, rival, claim.qps)
            claim.rival_runs.append(other)
            if not other.valid:
                rival = None  # it is out; its runs are kept
    _judge(job, lessons, claim)
    if (
        rival is not None
        and _room(lessons, claim.rival_runs) > _room(lessons, claim.runs) + _CLEARLY
    ):
        say(f"the next best has more room and is confirmed in turn: {rival}")
        theirs = yield from confirm(job, lessons, rival, claim.qps, None, say)
        if (theirs.is_proven, theirs.qps) > (claim.is_proven, claim.qps):
            theirs.rival, theirs.rival_runs = claim.candidate, claim.runs
            return theirs
    return claim


def _rate_within(limit: float, points: Sequence[tuple[float, float]]) -> float:
    """Return a rate at which a figure should be within its limit.

    Args:
        limit: of the figure.
        points: (rate, figure) of runs above it, the lowest rate last.
    """
    (qps, value), slope = points[-1], points[-1][1] / points[-1][0]
    if len(points) > 1:  # a device also draws power when it is idle: not in proportion
        before_qps, before = points[-2]
        rise = (before - value) / (before_qps - qps)
        slope = rise if rise > 0 else slope
    aim = (qps - (value - limit) / slope) * (1 - _LEAST_STEP)
    return rounded(min(max(aim, qps * (1 - _MOST_LOAD_STEP)), qps * (1 - _LEAST_STEP)))


def _run(
    job: Job, lessons: Lessons, candidate: Candidate, qps: float
) -> Generator[Ask, Reply, Outcome]:
    outcome = yield Trial("confirm", candidate, job.confirm_s, qps)
    assert isinstance(outcome, Outcome)
    lessons.learn(candidate, qps, outcome, "confirm")
    return outcome


def _safe_rate(lessons: Lessons, candidate: Candidate, qps: float) -> float:
    """Return the rate to run at, as known now; 0.0 where no rate leaves the margin."""
    return rounded(lessons.safe_rate(candidate, qps))


def _lower(qps: float, safe: float, most: float) -> float:
    """Return the rate to try after an INVALID run: the safe one, if within a share `most`."""
    return rounded(min(qps * (1 - _LEAST_STEP), max(safe, qps * (1 - most))))


def rounded(qps: float) -> float:
    """Round a rate down to what a person writes into user.conf: within 0.05 %."""
    if qps <= 0:
        return 0.0
    step = 5 * 10 ** (math.floor(math.log10(qps)) - 4)
    return float(f"{math.floor(qps / step) * step:.8g}")


def _judge(job: Job, lessons: Lessons, claim: Claim) -> None:
    """Say how sure it is, and how near the edge."""
    name, limit_ns = job.bound.name, job.bound.limit_ns
    claim.is_proven = len(claim.runs) >= job.confirm_runs and all(r.valid for r in claim.runs)
    values = [math.log(run.latency_ns[name]) for run in claim.runs]
    needed_ns = lessons.limit_ns(claim.candidate, claim.qps)
    claim.confidence = min(
        student.confidence_below(math.log(needed_ns), values),
        lessons.confidence(claim.candidate, claim.qps),
    )
    low, high = min(values, default=0.0), max(values, default=0.0)
    low, high = math.exp(low) / 1e6, math.exp(high) / 1e6
    claim.notes.append(
        f"{name} was {low:.3g} to {high:.3g} of {limit_ns / 1e6:g} ms in {len(claim.runs)} run(s);"
        f" the next run is VALID with a confidence of {claim.confidence:.0%}."
    )
    steeper = lessons.steepness(claim.candidate, claim.qps)
    claim.notes.append(f"1 % more load raises {name} by {steeper:.0%}.")
    if claim.confidence < _KNIFE_EDGE:
        claim.notes.append(
            f"Knife-edge: this setting may be INVALID tomorrow ({1 - claim.confidence:.0%}). "
            "Lower the rate by a per cent before publishing it."
        )
    _compare(lessons, claim)


def _compare(lessons: Lessons, claim: Claim) -> None:
    """Say how the rival did."""
    if not claim.rival_runs or claim.rival is None:
        return
    more = _room(lessons, claim.rival_runs) - _room(lessons, claim.runs)
    verdict = "as good within what runs can tell"
    if more > _CLEARLY:
        verdict = "with more room"
    elif more < -_CLEARLY or not all(run.valid for run in claim.rival_runs):
        verdict = "with less room"
    claim.notes.append(f"The next best, {claim.rival}, is {verdict} at the same rate.")


def _room(lessons: Lessons, runs: Sequence[Outcome]) -> float:
    """Return the mean logarithm of the room below the bound; far below 0 without runs."""
    return math.fsum(map(lessons.room, runs)) / len(runs) if runs else -math.inf


def _why(job: Job, run: Outcome) -> str:
    name, limit_ms = job.bound.name, job.bound.limit_ns / 1e6
    return f"{name} {run.latency_ns[name] / 1e6:.4g} of {limit_ms:g} ms"
