"""What the queue model and the tuner's search make of a published machine with its fitted S(b)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sut.tuner import predict, space
from sut.tuner.job import Job, Space, Variant
from sut.tuner.learnt import Learnt
from sut.tuner.model import Effort
from sut.tuner.space import ASYNC_SLOTS, BOUNDED_SIZES
from tests.published.fit import RUN_S, model_of

if TYPE_CHECKING:
    from backends.simulated.curve import Curve
    from sut.tuner.job import Candidate
    from sut.tuner.model import Model
    from tests.published.pairs import Pair

JUDGED = Effort(30_000, (1, 2), 1e-3)
# The batch of which two fill this share of the bound is usually the best; so many sizes around it
# are asked.
_SHARE_OF_TWO, _BELOW, _ABOVE = 0.9, 3, 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """Queries/s of a machine within the bound.

    Attributes:
        model_qps: the published settings.
        tuned_qps: the best of the tuner's candidates, with its confidence of 95 % before a run: a
            few of them, and where these stay below the published rate, its whole search.
        candidate: that candidate.
    """

    model_qps: float
    tuned_qps: float
    candidate: Candidate


def judge(pair: Pair, curve: Curve) -> Judgement:
    """Judge one machine."""
    model = model_of(pair, curve, [*BOUNDED_SIZES, pair.batch, *(b for b, _ in curve.points_ms)])
    model_qps = model.peak(pair.candidate, Learnt(), JUDGED, pair.qps)
    job = Job("Server", (pair.bound,), Space(workers=("process",)), confirm_s=RUN_S)
    best = predict.rank_only(job, model, candidates(pair, job, model), Learnt())[0]
    if best.qps < pair.qps:
        whole = predict.rank(job, model, lambda _: None, Learnt())[0]
        best = max(best, whole, key=lambda found: found.qps)
    return Judgement(model_qps, best.qps, best.candidate)


def candidates(pair: Pair, job: Job, model: Model) -> list[Candidate]:
    """Return the published settings, and late closing with batches around the usual best."""
    curve = model.measured[Variant()].curves[0][1]
    half_ns = _SHARE_OF_TWO / 2 * job.bound.limit_ns
    sizes = sorted({*space.batches(job, model, Variant()), pair.batch})
    below = [size for size in sizes if curve.service_ns(size) <= half_ns][-_BELOW:]
    above = [size for size in sizes if curve.service_ns(size) > half_ns][:_ABOVE]
    late = [
        replace(pair.candidate, max_batch_size=size, max_queue_delay_us="late")
        for size in (*below, *above)
    ]
    return space.distinct([pair.candidate, *(replace(c, slots=ASYNC_SLOTS) for c in late)])
