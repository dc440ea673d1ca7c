"""Offline: the smallest batch near the peak of samples/s, optionally within a latency budget.

The budget bounds a percentile of the time of one batch that runs alone. The latencies of an Offline
run do not show it, because they count from the start of the one query with all samples.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from sut.serve.service_times import Point, curve_of
from sut.tuner import asking, space
from sut.tuner.batch_choice import NEAR_PEAK, Choice, Row, choose
from sut.tuner.job import Bound, Candidate
from sut.tuner.messages import Answer, Predicted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.tuner.job import Job, Variant
    from sut.tuner.messages import Known, Outcome, Say, Search
    from sut.tuner.model import Model

MS = 1e6
_MORE_SLOTS = 4


def search(job: Job, known: Known, say: Say) -> Search:
    """Measure S(b) of every variant, choose, try a few settings, confirm the best.

    Raises:
        Unreachable: nothing could be measured, or no batch is within the budget.
    """
    model = yield from asking.measured_model(job, known)
    tables = {variant: rows_of(job, model, variant) for variant in model.measured}
    variant, choice = _choose(job, tables)
    row, peak = choice.row, choice.peak
    within = f" within {_words(job.budget)}" if job.budget else ""
    say(
        f"batch {row.batch} ({row.rate:,.6g} samples/s) is the smallest within "
        f"{NEAR_PEAK:.0%} of the peak{within}, {peak.rate:,.6g} samples/s at batch {peak.batch}"
    )
    for note in choice.notes:
        say(f"  {note}")
    tried: dict[Candidate, Outcome] = {}
    for candidate in _candidates(job, model, variant, row.batch):
        tried[candidate] = yield from asking.probe(job, candidate)
    best = max(tried, key=lambda candidate: tried[candidate].metric)
    # A run at a lower rate than it reaches is too short; a probe may have been disturbed.
    expected = float(f"{max(tried[best].metric, row.rate):.5g}")
    runs = (yield from asking.confirm_in_turns(job, [best], expected))[best]
    others = ", ".join(f"{c}: {run.metric:,.6g}/s" for c, run in tried.items() if c != best)
    return Answer(
        candidate=best,
        confirmed=tuple(runs),
        is_valid=all(run.valid for run in runs),
        target_qps=float(f"{fmean(run.metric for run in runs):.5g}"),
        predictions=_predictions(tables, best),
        notes=(
            *choice.notes,
            _comparison(row, runs),
            *([f"Also tried: {others}."] if others else []),
        ),
        slacks=_slacks(job.budget, row),
    )


def _choose(job: Job, tables: Mapping[Variant, Sequence[Row]]) -> tuple[Variant, Choice]:
    """Return the variant with the highest rate, and the choice of its batch."""
    if not any(tables.values()):
        raise asking.Unreachable(asking.NOTHING_MEASURED)
    budget_ns = job.budget.limit_ns if job.budget else None
    choices = {
        variant: choice for variant, rows in tables.items() if (choice := choose(rows, budget_ns))
    }
    if not choices:
        assert job.budget is not None, "without a budget every batch fits"
        least = min((row for rows in tables.values() for row in rows), key=lambda r: r.latency_ns)
        raise asking.Unreachable(
            f"no batch is within {_words(job.budget)}: the fastest, a batch of {least.batch}, "
            f"takes {least.latency_ns / MS:.4g} ms. Allow more, or use a faster engine."
        )
    variant = max(choices, key=lambda v: choices[v].peak.rate)
    return variant, choices[variant]


def rows_of(job: Job, model: Model, variant: Variant) -> list[Row]:
    """Return the table of a variant: rates of all devices together, latencies of the slowest."""
    workers = [points for _, points in model.measured[variant].workers]
    sizes = sorted({size for points in workers for size in points})
    allowed = set(job.space.batches) or set(sizes)
    rows = []
    for size in sizes:
        if size not in allowed or size > (job.space.largest_batch or size):
            continue
        candidate = space.with_batch(job, model, variant, size)
        spreads = [points[size].spread for points in workers if size in points]
        latency_ns = _alone_ns(model, candidate, job.budget) if job.budget else 0.0
        uncertainty = max(spreads, default=0.0) / 2
        rows.append(Row(size, model.rate(candidate), latency_ns, uncertainty))
    return rows


def _alone_ns(model: Model, candidate: Candidate, budget: Bound) -> float:
    """Return the budget's percentile of the largest batch on the slowest device."""
    return max(
        _percentile_ns(points, candidate.cap(device), budget.name)
        for device, points in model.measured[candidate.variant].workers
    )


def _percentile_ns(points: Mapping[int, Point], size: int, name: str) -> float:
    if size in points:
        return points[size].alone_ns[name]
    return curve_of({b: point.alone_ns[name] for b, point in points.items()}).service_ns(size)


def _candidates(job: Job, model: Model, variant: Variant, batch: int) -> list[Candidate]:
    """Return the choice with each kind of worker, the system's first, and with more slots."""
    more = model.on_the_way(variant, batch)
    slots = job.space.slots or (space.USUAL_SLOTS + more, _MORE_SLOTS + more)
    made = space.with_batch(job, model, variant, batch)
    first = replace(made, max_queue_delay_us=0, slots=slots[0])
    found = [first, *(replace(first, slots=more) for more in slots[1:])]
    found += [replace(first, workers=kind) for kind in job.space.workers[1:]]
    return space.distinct(found)


def _predictions(tables: Mapping[Variant, Sequence[Row]], best: Candidate) -> tuple[Predicted, ...]:
    found = [
        Predicted(Candidate(row.batch, 0, best.slots, best.workers, variant), row.rate, 0.0)
        for variant, rows in tables.items()
        for row in rows
    ]
    return tuple(sorted(found, key=lambda p: -p.qps))


def _comparison(row: Row, runs: Sequence[Outcome]) -> str:
    rates = [run.metric for run in runs]
    predicted = f"S(b) predicts {row.rate:,.6g} samples/s"
    if len(rates) == 1:
        return f"{predicted}; the run reached {rates[0]:,.6g}."
    spread = (max(rates) - min(rates)) / fmean(rates)
    return f"{predicted}; runs reached {fmean(rates):,.6g}, within {spread:.1%} of each other."


def _slacks(budget: Bound | None, row: Row) -> tuple[tuple[str, float], ...]:
    if budget is None:
        return ()
    text = f"{_words(budget)}: {row.latency_ns / MS:.4g} ms"
    return ((text, 1 - row.latency_ns / budget.limit_ns),)


def _words(budget: Bound) -> str:
    return f"{budget.name} <= {budget.limit_ms:g} ms of a batch that runs alone"
