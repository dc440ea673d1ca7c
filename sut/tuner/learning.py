"""What the model learns from runs: the parts in their traces, and how fast the machine is.

One noise model: in each run the machine is slower than S(b) by a lognormal factor. The factor of a
run is the one with which the queue model gives the measured percentile. So runs at different rates
can be compared, even INVALID ones, and a factor predicts the next run at any rate: `safe_rate` and
`confidence` are inverse functions. The spread of the percentile itself is not usable: near the peak
it grows without limit if the machine is a few per cent slower, so it is neither normal nor equal at
two rates.

Knows outcomes and the model; asks no questions itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sut.tuner.learnt import Learnt
from sut.tuner.model import FINE
from sut.tuner.student import PRIOR_SPREAD, forecast, student_quantile

if TYPE_CHECKING:
    from sut.record.trace_facts import TraceFacts
    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Outcome, Purpose
    from sut.tuner.model import Model
    from sut.tuner.student import Forecast, Weighted

MS = 1e6
# Expected number of runs in the end; the margin of the first runs assumes it.
_EXPECTED_RUNS = 5
# A fitting rate below this share of the wanted one is too low for batches to fill; a step down is
# tried instead.
_LEAST_SHARE, _STEP_DOWN = 0.7, 0.95
# Lower limit for the percentile of a stopped run, in bounds.
_STOPPED_BOUNDS = 3.0
# Weight of a run: a probe is shorter than a confirmation, and a disturbed run shows less.
_WEIGHTS = {"probe": 1 / 3, "search": 1 / 3, "confirm": 1.0}
_DISTURBED_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class _Lesson:
    qps: float
    percentile_ns: float
    weight: float
    purpose: Purpose


class Lessons:
    """All runs so far, by candidate."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job = job
        self._model = model
        self._runs: dict[Candidate, list[_Lesson]] = defaultdict(list)
        self._facts: TraceFacts | None = None
        self._disturbed = 0

    def learn(self, candidate: Candidate, qps: float, outcome: Outcome, purpose: Purpose) -> None:
        """Learn from one run."""
        bound = self._job.bound
        least_ns = _STOPPED_BOUNDS * bound.limit_ns if outcome.stopped else 0.0
        percentile_ns = max(outcome.latency_ns[bound.name], least_ns)
        weight = _WEIGHTS[purpose] * (_DISTURBED_WEIGHT if outcome.is_disturbed else 1.0)
        self._disturbed += outcome.is_disturbed
        self._runs[candidate].append(_Lesson(qps, percentile_ns, weight, purpose))
        facts = outcome.trace_facts
        if self._facts is None:
            # The first trace describes the host. Later runs only change the factor on S(b), so
            # that the search settles.
            self._facts = facts
        elif self._facts.hop_in_ns is None and facts is not None:
            # An overloaded device never waited, and hid the way to it.
            self._facts = replace(self._facts, hop_in_ns=facts.hop_in_ns)

    def learnt(self, candidate: Candidate) -> Learnt:
        """Return what is known about a candidate: from its own runs, else from other runs."""
        return self._base().slower(math.exp(self._forecast(candidate).mean))

    def safe_rate(self, candidate: Candidate, hint: float) -> float:
        """Return the rate at which the next run is VALID with the required confidence.

        If no rate leaves that much room, it leaves the usual room. If no rate fits at all, it is
        below the lowest that was tried.
        """
        known = self._forecast(candidate, _EXPECTED_RUNS)
        usual = known.mean + usual_room(self._job.confidence)
        for slowest in (known.quantile(self._job.confidence), usual):
            learnt = self._base().slower(math.exp(slowest))
            found = self._model.peak(candidate, learnt, FINE, hint)
            if found > _LEAST_SHARE * hint:
                return found
        tried = [lesson.qps for lesson in self._runs.get(candidate, ())]
        return _STEP_DOWN * min(tried, default=hint)

    def confidence(self, candidate: Candidate, qps: float) -> float:
        """Return the probability that the next run at a rate is VALID.

        It uses all runs of the candidate, even INVALID ones at other rates. To use only the last
        ones, after others failed, would select the lucky ones.
        """
        slowest = math.log(self._model.slowest_ratio(candidate, qps, self._base()))
        return self._forecast(candidate).chance_below(slowest)

    def room(self, outcome: Outcome) -> float:
        """Return the logarithm of the bound over the run's percentile."""
        bound = self._job.bound
        return math.log(bound.limit_ns / outcome.latency_ns[bound.name])

    def steepness(self, candidate: Candidate, qps: float) -> float:
        """Return the share by which the percentile rises with 1 % more load, 0.0 or more.

        Far from the peak, random arrivals change it more than the rate does.
        """
        learnt = self.learnt(candidate)
        here_ns = self._model.percentile_ns(candidate, qps, learnt, FINE)
        more_ns = self._model.percentile_ns(candidate, qps * 1.01, learnt, FINE)
        return max(0.0, more_ns / here_ns - 1)

    def measured(self, candidate: Candidate) -> list[tuple[float, float, str]]:
        """Return (qps, ns, purpose) of a candidate's runs."""
        return [(x.qps, x.percentile_ns, x.purpose) for x in self._runs.get(candidate, ())]

    def notes(self, candidate: Candidate) -> list[str]:
        """Return what was learnt, one line each."""
        host, known = self._base().host, self._forecast(candidate)
        ways_ns = self._model.measured[candidate.variant].ways_ns.values()
        wire = ""
        if ways_ns:
            wire = f" and up to {max(ways_ns) / MS:.2f} ms of wire each way"
        lines = [
            f"Beyond S(b){wire}, a batch took {host.hop_in_ns / MS:.2f} ms to its device and "
            f"{host.hop_out_ns / MS:.2f} ms back; the measured {self._job.bound.name} is that of "
            f"batches that take {math.exp(known.mean):.3f} times S(b).",
            f"This factor varies by {known.spread:.1%} between runs (standard deviation).",
        ]
        if self._disturbed:
            lines.append(
                f"Other processes, or stalls of this machine, disturbed {self._disturbed} of the "
                "runs, which count less. A quiet machine may allow more."
            )
        return lines

    def _forecast(self, candidate: Candidate, at_least: int = 0) -> Forecast:
        """Return the distribution of the logarithm of the factor in the next run."""
        base = self._base()
        others = [self._factors(other, base) for other in self._runs if other != candidate]
        return forecast(self._factors(candidate, base), others, at_least)

    def _factors(self, candidate: Candidate, base: Learnt) -> list[Weighted]:
        return [
            (
                math.log(self._model.fitting_ratio(candidate, x.qps, base, x.percentile_ns)),
                x.weight,
            )
            for x in self._runs.get(candidate, ())
        ]

    def _base(self) -> Learnt:
        return Learnt() if self._facts is None else Learnt().with_facts(self._facts)


def usual_room(confidence: float) -> float:
    """Return how much slower (a logarithm) the machine may be, before any run."""
    return student_quantile(confidence, _EXPECTED_RUNS) * PRIOR_SPREAD
