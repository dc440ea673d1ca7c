"""Ranks the candidates of Server by the queue model: roughly everywhere, exactly near the top.

Rates leave room for runs in which the machine is slower. Needs no run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sut.base.steps import say_step
from sut.tuner import space
from sut.tuner.learning import usual_room
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Predicted
from sut.tuner.model import FINE, ROUGH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Say
    from sut.tuner.model import Model

# Candidates to refine: those within this share of the best rough rate, but at most this many. A
# rough rate is accurate to about 1 %.
_NEAR_SHARE, _REFINED = 0.02, 5
# Rates this close (as a share of the best) cannot be distinguished by a run.
FLAT_SHARE = 0.005


def rank(job: Job, model: Model, say: Say, learnt: Learnt) -> list[Predicted]:
    """Return every predicted candidate, best first; one with a rate of 0 does not fit."""
    ranking = Ranking(job, model, learnt)
    firsts = space.first_look(job, model)
    say(f"predicting {len(firsts)} batch sizes")
    ranking.add(firsts)
    for best in ranking.best(2):
        step = max(1, best.max_batch_size // 8)
        ranking.add(space.around(job, model, best, step))
    surface = ranking.best(6)
    say(f"predicting delays and slots of the best {len(surface)}")
    for candidate in surface:
        ranking.add(space.delays(job, model, candidate))
    for candidate in ranking.best(2):
        ranking.add(space.slots(job, model, candidate))
    ranking.refine()
    return ranking.ranked()


def rank_only(
    job: Job, model: Model, candidates: Sequence[Candidate], learnt: Learnt
) -> list[Predicted]:
    """Return only these candidates, best first."""
    ranking = Ranking(job, model, learnt)
    ranking.add(candidates)
    ranking.refine()
    return ranking.ranked()


class Ranking:
    """The candidates predicted so far, with room for runs in which the machine is slower."""

    def __init__(self, job: Job, model: Model, learnt: Learnt) -> None:
        self._model = model
        self._learnt = learnt.slower(math.exp(usual_room(job.confidence)))
        self._share = 0.0  # last rate as a share of the capacity: a hint for the next
        self._found: dict[Candidate, Predicted] = {}

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Predict new ones roughly, by short simulations."""
        new = [
            candidate for candidate in space.distinct(candidates) if candidate not in self._found
        ]
        for done, candidate in enumerate(new):
            say_step(f"{done} of {len(new)} settings")
            capacity = self._model.rate(candidate)
            hint = self._share * capacity or None
            qps = self._model.peak(candidate, self._learnt, ROUGH, hint)
            self._share = qps / capacity or self._share
            self._note(candidate, qps, is_fine=False)

    def rate(self, candidate: Candidate) -> float:
        """Return the highest rate that was predicted for a candidate."""
        return self._found[candidate].qps

    def best(self, count: int) -> list[Candidate]:
        """Return the best of each batch size, the best first."""
        found: dict[object, Candidate] = {}
        for predicted in self.ranked():
            c = predicted.candidate
            if predicted.qps:
                found.setdefault((c.variant, c.max_batch_size), c)
        return list(found.values())[:count]

    def ranked(self) -> list[Predicted]:
        """Return all, best first: exact ones, then rough ones, then those that do not fit."""

        def worth(predicted: Predicted) -> tuple[bool, bool, float]:
            return predicted.qps > 0, predicted.is_fine, predicted.qps

        return sorted(self._found.values(), key=worth, reverse=True)

    def refine(self) -> None:
        """Predict the best again, with longer runs and several arrival seeds."""
        found = [self._found[candidate] for candidate in self.best(_REFINED)]
        near = [p for p in found if p.qps >= (1 - _NEAR_SHARE) * found[0].qps]
        for done, predicted in enumerate(near):
            say_step(f"{done} of the best {len(near)} settings again")
            qps = self._model.peak(predicted.candidate, self._learnt, FINE, predicted.qps)
            self._note(predicted.candidate, qps, is_fine=True)

    def _note(self, candidate: Candidate, qps: float, *, is_fine: bool) -> None:
        fill_ns = self._model.fill_ns(candidate, qps)
        before = self._found.get(candidate)
        first_qps = before.first_qps if before else qps
        self._found[candidate] = Predicted(candidate, qps, fill_ns, first_qps, is_fine)


def flatness(ranked: Sequence[Predicted]) -> str:
    """Return which batch sizes are as good as the best."""
    best = ranked[0]
    near = [
        p.candidate.max_batch_size
        for p in ranked
        if p.qps >= (1 - FLAT_SHARE) * best.qps and p.is_fine == best.is_fine
    ]
    if min(near) == max(near):
        return f"The best is clear: only batch {near[0]} is within {FLAT_SHARE:.1%} of it."
    return (
        f"Several are as good: batches {min(near)} to {max(near)} are predicted within "
        f"{FLAT_SHARE:.1%} of the best."
    )


def why_unreachable(job: Job, model: Model) -> str:
    """Explain why nothing fits."""
    bound = job.bound
    alone = {
        device: curve.service_ns(1)
        for measured in model.measured.values()
        for device, curve in measured.curves
    }
    device, least_ns = min(alone.items(), key=lambda pair: pair[1])
    return (
        f"{bound.name} of {bound.limit_ms:g} ms cannot be met: a batch of one takes "
        f"{least_ns / 1e6:.3g} ms on the fastest device, {device}, plus the time to wait and to "
        "get there and back. Allow more latency, or use a faster engine."
    )
