"""What runs teach the model: the parts that their traces show, and how fast the machine is.

One noise model: from run to run the machine is slower than S(b) by a factor, which is lognormal.
A run at any rate tells its factor, the one with which the model of the queue gives the percentile
that the run measured. So runs at different rates are compared, also those that were INVALID, and
a factor says what the next run does at any rate: `safe_rate` and `confidence` are each other's
inverse. The spread of the percentile itself would not do: near the peak it grows without end for
a machine that is a few per cent slower, so that it is neither normal nor the same at two rates.

Knows outcomes and the model; asks for nothing itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.tuner.model import FINE
from sut.tuner.student import PRIOR_SPREAD, forecast, student_quantile
from sut.tuner.trace_facts import Learnt

if TYPE_CHECKING:
    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Outcome, Purpose
    from sut.tuner.model import Model
    from sut.tuner.student import Forecast, Weighted
    from sut.tuner.trace_facts import TraceFacts

MS = 1e6
# Runs that there will be in the end: the margin of the first ones looks ahead to them.
_EXPECTED_RUNS = 5
# A rate that fits below this share of the one looked for is one at which batches never fill; what
# is tried instead is a step down.
_LEAST_SHARE, _STEP_DOWN = 0.7, 0.95
# The percentile of a run that was stopped, at least, in bounds.
_STOPPED_BOUNDS = 3.0
# Weight of a run: a probe is shorter than a confirmation; one that others disturbed says less.
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
        """Take in one run."""
        bound = self._job.bound
        least_ns = _STOPPED_BOUNDS * bound.limit_ns if outcome.stopped else 0.0
        percentile_ns = max(outcome.latency_ns[bound.name], least_ns)
        weight = _WEIGHTS[purpose] * (_DISTURBED_WEIGHT if outcome.is_disturbed else 1.0)
        self._disturbed += outcome.is_disturbed
        self._runs[candidate].append(_Lesson(qps, percentile_ns, weight, purpose))
        if self._facts is None:
            # The first trace stands for the host; the rest is left to the factor on S(b), so that
            # one more run changes one number, and the search settles.
            self._facts = outcome.trace_facts

    def learnt(self, candidate: Candidate) -> Learnt:
        """Return what is known for a candidate: from its own runs, else from the others'."""
        return self._base().slower(math.exp(self._forecast(candidate).mean))

    def safe_rate(self, candidate: Candidate, hint: float) -> float:
        """Return the rate at which the next run is VALID with the confidence asked for.

        Where no rate leaves that much room, the usual room is left; and where by all that is known
        none fits, it is less than the lowest that was tried.
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

        From all of a candidate's runs, also those that were INVALID at other rates: to take the
        last ones alone, after others failed, would be to pick the lucky ones.
        """
        base = self._base()
        needed_ns = self.limit_ns(candidate, qps)
        slowest = math.log(self._model.fitting_ratio(candidate, qps, base, needed_ns))
        return self._forecast(candidate).chance_below(slowest)

    def limit_ns(self, candidate: Candidate, qps: float) -> float:
        """Return what the percentile may be for a run to be VALID; early stopping asks for more."""
        allowance = self._model.allowance(candidate, qps, self.learnt(candidate))
        return self._job.bound.limit_ns * allowance

    def room(self, outcome: Outcome) -> float:
        """Return the logarithm of the bound over the run's percentile."""
        bound = self._job.bound
        return math.log(bound.limit_ns / outcome.latency_ns[bound.name])

    def steepness(self, candidate: Candidate, qps: float) -> float:
        """Return by which share the percentile rises for one per cent more load, 0.0 or more.

        Far from the peak arrivals of two rates differ by more than the rates do.
        """
        learnt = self.learnt(candidate)
        here_ns = self._model.percentile_ns(candidate, qps, learnt, FINE)
        more_ns = self._model.percentile_ns(candidate, qps * 1.01, learnt, FINE)
        return max(0.0, more_ns / here_ns - 1)

    def measured(self, candidate: Candidate) -> list[tuple[float, float, str]]:
        """Return (qps, ns, purpose) of a candidate's runs."""
        return [(x.qps, x.percentile_ns, x.purpose) for x in self._runs.get(candidate, ())]

    def notes(self, candidate: Candidate) -> list[str]:
        """Say what was learnt, a line each."""
        host, known = self._base().host, self._forecast(candidate)
        lines = [
            f"Beside S(b), runs showed hops of {host.hop_in_ns / MS:.2f} and "
            f"{host.hop_out_ns / MS:.2f} ms; to give the measured {self._job.bound.name}, batches "
            f"take {math.exp(known.mean):.3f} times what S(b) says.",
            f"Between runs that factor moves by {known.spread:.1%} (standard deviation).",
        ]
        if self._disturbed:
            lines.append(
                f"Other processes, or stalls of this machine, disturbed {self._disturbed} of the "
                "runs, which count less: a quiet machine may allow more."
            )
        return lines

    def _forecast(self, candidate: Candidate, at_least: int = 0) -> Forecast:
        """Return what to expect of the logarithm of the factor in the next run."""
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
    """Return by how much slower (a logarithm) the machine may be in a run, before any run."""
    return student_quantile(confidence, _EXPECTED_RUNS) * PRIOR_SPREAD
