"""What runs teach the model: the parts that their traces show, and one number for the rest.

Knows outcomes and the model; asks for nothing itself.
"""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sut.tuner import student
from sut.tuner.model import FINE, QUICK, Learnt

if TYPE_CHECKING:
    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Outcome, Purpose, TraceFacts
    from sut.tuner.model import Model

MS = 1e6
# Runs that there will be in the end: the margin of the first looks ahead to them.
_EXPECTED_RUNS = 5
# A rate that fits below this share of the one looked for is one at which batches never fill; what
# is tried instead is a step down.
_LEAST_SHARE, _STEP_DOWN = 0.7, 0.95
# Above this spread of the percentile (three times what published results show) runs differ because
# the machine is faster in one than in the next; below, it may be the model that does not fit.
_WANDERS = 0.12
# The percentile of a run that was stopped, at least, in bounds.
_STOPPED_BOUNDS = 3.0
# Weight of a run: a confirmation is as long as several probes; one that others disturbed says less.
_WEIGHTS = {"probe": 1.0, "search": 1.0, "confirm": 3.0}
_DISTURBED_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class _Lesson:
    qps: float
    percentile_ns: float
    weight: float
    purpose: Purpose
    is_stopped: bool


class Lessons:
    """All runs so far, by candidate."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job = job
        self._model = model
        self._runs: dict[Candidate, list[_Lesson]] = defaultdict(list)
        self._seen: TraceFacts | None = None
        self._disturbed = 0

    def learn(self, candidate: Candidate, qps: float, outcome: Outcome, purpose: Purpose) -> None:
        """Take in one run."""
        bound = self._job.bound
        percentile_ns = outcome.latency_ns[bound.name]
        weight = _WEIGHTS[purpose] * (_DISTURBED_WEIGHT if outcome.is_disturbed else 1.0)
        self._disturbed += outcome.is_disturbed
        self._runs[candidate].append(
            _Lesson(qps, percentile_ns, weight, purpose, bool(outcome.stopped))
        )
        if outcome.seen is not None and self._seen is None:
            # The first trace stands for the host; the rest is left to `excess`, so that one more
            # run changes one number, and the search settles.
            self._seen = outcome.seen

    def learnt(self, candidate: Candidate) -> Learnt:
        """Return what is known for a candidate: from its own runs, else from the others'."""
        base = self._base()
        ratio = self._ratio(candidate, base)
        if ratio is None:
            ratios = [self._ratio(other, base) for other in list(self._runs)]
            known = [found for found in ratios if found is not None]
            ratio = sum(known) / len(known) if known else 1.0
        return replace(base, service_ratio=round(base.service_ratio * ratio, 4))

    def peak(self, candidate: Candidate, hint: float, margin: float = 0.0) -> float:
        """Return the highest rate within the bounds, by what was learnt; 0.0 if there is none."""
        return self._model.peak(candidate, self.learnt(candidate), FINE, margin, hint)

    def safe_rate(self, candidate: Candidate, hint: float) -> float:
        """Return the rate at which the next run is VALID with the confidence asked for.

        On a machine that wanders it is also one that fits when the machine is nearly slowest. Where
        no rate leaves that much room, the usual room is left; and where by all that is known none
        fits, it is less than the lowest that was tried.
        """
        quantile = student.student_quantile(self._job.confidence, self._freedom())
        in_slowest = math.inf
        if self._wanders():
            learnt = self.learnt(candidate)
            slowest = math.exp(quantile * self.service_spread())
            slow = replace(learnt, service_ratio=round(learnt.service_ratio * slowest, 4))
            in_slowest = self._model.peak(candidate, slow, FINE, 0.0, hint)
        for room in (quantile * self.spread(), student.PRIOR_SPREAD):
            found = min(self.peak(candidate, hint, round(room, 3)), in_slowest)
            if found > _LEAST_SHARE * hint:
                return found
        tried = [lesson.qps for lesson in self._runs.get(candidate, ())]
        return _STEP_DOWN * min(tried, default=hint)

    def confidence(self, candidate: Candidate, qps: float) -> float:
        """Return the probability that the machine is fast enough in the next run at a rate.

        From all of a candidate's runs, also those that were INVALID at other rates: to take the
        last ones alone, after others failed, would be to pick the lucky ones. 1.0 where runs differ
        as little as on a machine that nobody shares.
        """
        if not self._wanders():
            return 1.0
        base = self._base()
        ratios = self._log_ratios(candidate, base)
        if not ratios:
            return 0.0
        needed_ns = self.limit_ns(candidate, qps)
        slowest = math.log(self._model.fitting_ratio(candidate, qps, base, needed_ns))
        scale = self.service_spread() * math.sqrt(1 + 1 / len(ratios))
        mean = math.fsum(ratios) / len(ratios)
        return student.student_cdf((slowest - mean) / scale, self._freedom())

    def _wanders(self) -> bool:
        return self.spread() > _WANDERS

    def _freedom(self) -> int:
        runs = sum(map(len, self._runs.values()))
        return student.PRIOR_RUNS + max(runs, _EXPECTED_RUNS)

    def limit_ns(self, candidate: Candidate, qps: float) -> float:
        """Return what the percentile may be for a run to be VALID; early stopping asks for more."""
        allowance = self._model.allowance(candidate, qps, self.learnt(candidate))
        return self._job.bound.limit_ns * allowance

    def room(self, outcome: Outcome) -> float:
        """Return the logarithm of the bound over the run's percentile."""
        bound = self._job.bound
        return math.log(bound.limit_ns / outcome.latency_ns[bound.name])

    def spread(self) -> float:
        """Return the standard deviation of the percentile's logarithm between runs.

        Runs at different rates are compared by what is left of them beside the model.
        """
        groups = []
        for candidate, lessons in self._runs.items():
            learnt = self.learnt(candidate)
            groups.append(
                [
                    math.log(x.percentile_ns)
                    - math.log(self._model.percentile_ns(candidate, x.qps, learnt, QUICK))
                    for x in lessons
                    if not x.is_stopped
                ]
            )
        return student.spread([group for group in groups if group])

    def service_spread(self) -> float:
        """Return the standard deviation of the logarithm of S(b) between runs, as their p99 has it.

        A machine that others share is faster in one run and slower in the next.
        """
        base = self._base()
        groups = [self._log_ratios(candidate, base) for candidate in self._runs]
        return student.spread([group for group in groups if group], student.PRIOR_SERVICE_SPREAD)

    def _log_ratios(self, candidate: Candidate, base: Learnt) -> list[float]:
        lessons = self._runs.get(candidate, ())
        return [math.log(self._ratio_of(candidate, x, base)) for x in lessons if not x.is_stopped]

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
        """Say what was learnt, in a line or two."""
        learnt = self.learnt(candidate)
        host = learnt.host
        share = learnt.service_ratio / self._base().service_ratio
        line = (
            f"Beside S(b), runs showed hops of {host.hop_in_ns / MS:.2f} and "
            f"{host.hop_out_ns / MS:.2f} ms; to give the measured {self._job.bound.name}, batches "
            f"take {share:.3f} times what S(b) says."
        )
        lines = [line, f"Between runs it moves by {self.spread():.1%} (standard deviation)."]
        if self._disturbed:
            lines.append(
                f"Other processes, or stalls of this machine, disturbed {self._disturbed} of the "
                "runs, which count less: a quiet machine may allow more."
            )
        return lines

    def _base(self) -> Learnt:
        return Learnt() if self._seen is None else Learnt().with_seen(self._seen)

    def _ratio(self, candidate: Candidate, base: Learnt) -> float | None:
        """Return the weighted mean over a candidate's runs; None without any."""
        lessons = self._runs.get(candidate, [])
        if not lessons:
            return None
        weights = [lesson.weight for lesson in lessons]
        ratios = [self._ratio_of(candidate, lesson, base) for lesson in lessons]
        return math.fsum(map(operator.mul, weights, ratios)) / math.fsum(weights)

    def _ratio_of(self, candidate: Candidate, lesson: _Lesson, base: Learnt) -> float:
        least_ns = _STOPPED_BOUNDS * self._job.bound.limit_ns if lesson.is_stopped else 0.0
        percentile_ns = max(lesson.percentile_ns, least_ns)
        return self._model.fitting_ratio(candidate, lesson.qps, base, percentile_ns)
