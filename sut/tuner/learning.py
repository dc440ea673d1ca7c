"""What runs teach the model: the parts that their traces show, and one number for the rest.

Knows outcomes and the model; asks for nothing itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sut.tuner import statistics
from sut.tuner.model import FINE, Learnt

if TYPE_CHECKING:
    from sut.tuner.asks import Outcome, Purpose, Seen
    from sut.tuner.candidate import Candidate
    from sut.tuner.job import Job
    from sut.tuner.model import Model

MS = 1e6
# A run that was stopped, or far over the bound, says no more than "too much".
_FAR = math.log(2.0)
# Weight of a run: a confirmation is as long as several probes.
_WEIGHTS = {"probe": 1.0, "search": 1.0, "confirm": 3.0}


@dataclass(frozen=True, slots=True)
class _Lesson:
    qps: float
    percentile_ns: float
    purpose: Purpose
    is_stopped: bool


class Lessons:
    """All runs so far, by candidate."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job = job
        self._model = model
        self._runs: dict[Candidate, list[_Lesson]] = defaultdict(list)
        self._seen: Seen | None = None
        self._last = ""

    def learn(self, candidate: Candidate, qps: float, outcome: Outcome, purpose: Purpose) -> None:
        """Take in one run."""
        bound = self._job.bound
        percentile_ns = outcome.latency_ns[bound.name]
        self._runs[candidate].append(
            _Lesson(qps, percentile_ns, purpose, bool(outcome.stopped))
        )
        if outcome.seen is not None and self._seen is None:
            # The first trace stands for the host; the rest is left to `excess`, so that one more
            # run changes one number, and the search settles.
            self._seen = outcome.seen
        self._last = (
            f"{candidate} at {qps:,.0f} queries/s: {bound.name} {percentile_ns / MS:.3g} ms"
            f"{', stopped' if outcome.stopped else ''}."
        )

    def learnt(self, candidate: Candidate) -> Learnt:
        """Return what is known for a candidate: its own runs, else those of the others."""
        base = self._base()
        own = self._excess(candidate, base)
        if own is not None:
            return replace(base, excess=own)
        others = [self._excess(other, base) for other in list(self._runs)]
        known = [excess for excess in others if excess is not None]
        return replace(base, excess=round(sum(known) / len(known), 3) if known else 0.0)

    def peak(self, candidate: Candidate, hint: float, margin: float = 0.0) -> float:
        """Return the highest rate within the bounds, by what was learnt; 0.0 if there is none."""
        return self._model.peak(candidate, self.learnt(candidate), FINE, margin, hint)

    def is_near(self, outcome: Outcome, share: float) -> bool:
        """Whether a run's percentile is within `share` (a logarithm) of the bound."""
        return not outcome.stopped and abs(self.room(outcome)) <= share

    def room(self, outcome: Outcome) -> float:
        """Return the logarithm of the bound over the run's percentile."""
        bound = self._job.bound
        return math.log(bound.limit_ns / outcome.latency_ns[bound.name])

    def spread(self) -> float:
        """Return the standard deviation of the percentile's logarithm between runs.

        Runs at different rates are compared by what is left of them beside the model.
        """
        base = self._base()
        groups = [
            [self._excess_of(candidate, lesson, base) for lesson in lessons if self._counts(lesson)]
            for candidate, lessons in self._runs.items()
        ]
        return statistics.spread([group for group in groups if group])

    def steepness(self, candidate: Candidate, qps: float) -> float:
        """Return by which share the percentile rises for one per cent more load."""
        learnt = self.learnt(candidate)
        here_ns = self._model.percentile_ns(candidate, qps, learnt, FINE)
        return self._model.percentile_ns(candidate, qps * 1.01, learnt, FINE) / here_ns - 1

    def measured(self, candidate: Candidate) -> list[tuple[float, float, str]]:
        """Return (qps, ns, purpose) of a candidate's runs."""
        return [(x.qps, x.percentile_ns, x.purpose) for x in self._runs[candidate]]

    def last_words(self) -> str:
        """Say what the last run showed."""
        return self._last

    def notes(self, candidate: Candidate) -> list[str]:
        """Say what was learnt, in a line or two."""
        learnt = self.learnt(candidate)
        host = learnt.host
        line = (
            f"Measured against predicted: batches take {learnt.service_ratio:.3f} of S(b), hops "
            f"{host.hop_in_ns / MS:.2f} and {host.hop_out_ns / MS:.2f} ms; beside these "
            f"{self._job.bound.name} is {math.exp(learnt.excess):.2f} of the model's."
        )
        return [line, f"Between runs it moves by {self.spread():.1%} (standard deviation)."]

    def _base(self) -> Learnt:
        return Learnt() if self._seen is None else Learnt().with_seen(self._seen)

    def _excess(self, candidate: Candidate, base: Learnt) -> float | None:
        """Return the weighted mean over a candidate's runs; full-length ones replace probes."""
        lessons = [x for x in self._runs.get(candidate, ()) if self._counts(x)]
        if not lessons:
            stopped = self._runs.get(candidate)
            return _FAR if stopped else None
        weights = [_WEIGHTS[lesson.purpose] for lesson in lessons]
        total = sum(
            w * self._excess_of(candidate, lesson, base)
            for w, lesson in zip(weights, lessons, strict=True)
        )
        return round(total / sum(weights), 3)

    def _counts(self, lesson: _Lesson) -> bool:
        return not lesson.is_stopped

    def _excess_of(self, candidate: Candidate, lesson: _Lesson, base: Learnt) -> float:
        predicted_ns = self._model.percentile_ns(candidate, lesson.qps, base, FINE)
        return max(-_FAR, min(_FAR, math.log(lesson.percentile_ns / predicted_ns)))
