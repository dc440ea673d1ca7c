"""What every search asks for: S(b), probes, and runs at full length.

Each function is a part of a search; `yield from` it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sut.base.errors import SutError
from sut.serve.service_times import Measured
from sut.tuner import space
from sut.tuner.messages import Measure, Outcome, Trial
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.tuner.job import Candidate, Job, Variant
    from sut.tuner.messages import Known, Steps

# With a budget, sizes are measured until one takes this many times the budget, because times of
# similar sizes differ by noise, and a larger one may be within the budget again.
_BEYOND_BUDGET = 1.5
# A device that computes this share of the time has no use for a second engine.
_BUSY = 0.97
NOTHING_MEASURED = "no batch size could be measured, so there is none to choose."


class Unreachable(SutError):
    """No setting meets the bounds; the message says why."""


def measured_model(job: Job, known: Known) -> Steps[Model]:
    """Measure S(b) of every variant; `known` keeps the predictions of the model.

    More engines on a device are not measured where one leaves it no idle time.
    """
    measured: dict[Variant, Measured] = {}
    for variant in sorted(job.space.variants, key=lambda variant: variant.instances):
        one = measured.get(replace(variant, instances=1))
        is_idle = one is None or one.busy < _BUSY
        if variant.instances > 1 and not (is_idle or job.space.names_instances):
            continue
        measured[variant] = yield from measure(job, variant, job.space.sizes)
    return Model(measured, job.bounds, job.confirm_s, known=known)


def measured_nearby(job: Job, model: Model, best: Candidate) -> Steps[Model]:
    """Measure more sizes near the best prediction, and return a model of measured sizes alone."""
    variant = best.variant
    measured = dict(model.measured)
    if sizes := space.nearby(job, model, best):
        more = yield from measure(job, variant, sizes)
        measured[variant] = measured[variant].with_more(more)
    return Model(measured, job.bounds, job.confirm_s, is_exact=True, known=model.known)


def measure(job: Job, variant: Variant, sizes: tuple[int, ...]) -> Steps[Measured]:
    """Measure S(b) of one variant, and with a budget also batches that run alone."""
    limit_ns = min((bound.limit_ns for bound in job.bounds), default=None)
    if job.budget is not None:
        limit_ns = _BEYOND_BUDGET * job.budget.limit_ns
    has_budget = job.budget is not None
    reply = yield Measure(variant, sizes, limit_ns, has_budget, job.space.has_ladder)
    assert isinstance(reply, Measured)
    return reply


def run_trial(trial: Trial) -> Steps[Outcome]:
    """Run one trial."""
    outcome = yield trial
    assert isinstance(outcome, Outcome)
    return outcome


def probe(job: Job, candidate: Candidate, qps: float | None = None) -> Steps[Outcome]:
    """Run a candidate for a short time."""
    return run_trial(Trial("probe", candidate, job.probe_s, qps))


def confirm_once(job: Job, candidate: Candidate, qps: float | None = None) -> Steps[Outcome]:
    """Run a candidate once at full length."""
    return run_trial(Trial("confirm", candidate, job.confirm_s, qps))


def confirm_in_turns(
    job: Job, candidates: Sequence[Candidate], qps: float | None = None
) -> Steps[dict[Candidate, list[Outcome]]]:
    """Run each as often as a confirmation needs, in turns: other work affects all equally."""
    runs: dict[Candidate, list[Outcome]] = {candidate: [] for candidate in candidates}
    for _ in range(job.confirm_runs):
        for candidate in candidates:
            runs[candidate].append((yield from confirm_once(job, candidate, qps)))
    return runs
