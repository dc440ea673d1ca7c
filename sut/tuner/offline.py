"""Offline: the smallest batch near the peak of samples/s, optionally within a latency budget.

The budget bounds a percentile of the time of one batch that runs alone. The latencies of an Offline
run do not show it, because they count from the start of the one query with all samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from sut.serve.service_times import Point, curve_of
from sut.tuner import server, space
from sut.tuner.batch_choice import Choice, Row, choose
from sut.tuner.job import Bound, Candidate
from sut.tuner.messages import Answer, Predicted, Trial, run_trial
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from sut.tuner.job import Job, Variant
    from sut.tuner.messages import Outcome, Search

MS = 1e6
_MORE_SLOTS = 4


@dataclass(frozen=True, slots=True)
class _Tables:
    """The measurements: one row per batch size of every variant, and the choice.

    Attributes:
        model: of the measured devices.
        rows: by variant.
        variant: the one with the highest rate.
        choice: its batch.
    """

    model: Model
    rows: Mapping[Variant, Sequence[Row]]
    variant: Variant
    choice: Choice


def search(job: Job, known: MutableMapping[str, float], say: Callable[[str], None]) -> Search:
    """Measure S(b) of every variant, choose, try a few settings, confirm the best.

    Raises:
        Unreachable: nothing could be measured, or no batch is within the budget.
    """
    measured = yield from server.measure(job)
    model = Model(measured, job.bounds, job.confirm_s, known)
    tables = _choose(job, model)
    row, peak = tables.choice.row, tables.choice.peak
    within = f" within {_words(job.budget)}" if job.budget else ""
    say(
        f"batch {row.batch} ({row.rate:,.6g} samples/s) is the smallest within "
        f"{job.near_peak:.0%} of the peak{within}, {peak.rate:,.6g} samples/s at batch {peak.batch}"
    )
    for note in tables.choice.notes:
        say(f"  {note}")
    tried: dict[Candidate, Outcome] = {}
    for candidate in _candidates(job, tables):
        tried[candidate] = yield from run_trial(Trial("probe", candidate, job.probe_s))
    best = max(tried, key=lambda candidate: tried[candidate].metric)
    expected = float(f"{tried[best].metric:.5g}")
    runs = []
    for _ in range(job.confirm_runs):
        runs.append((yield from run_trial(Trial("confirm", best, job.confirm_s, expected))))
    return _answer(job, tables, best, runs, tried)


def _choose(job: Job, model: Model) -> _Tables:
    rows = {variant: rows_of(job, model, variant) for variant in model.measured}
    if not any(rows.values()):
        raise server.Unreachable("no batch size could be measured, so there is none to choose.")
    budget_ns = job.budget.limit_ns if job.budget else None
    choices = {
        variant: choice
        for variant, table in rows.items()
        if (choice := choose(table, budget_ns, job.near_peak))
    }
    if not choices:
        assert job.budget is not None, "without a budget every batch fits"
        least = min((row for table in rows.values() for row in table), key=lambda r: r.latency_ns)
        raise server.Unreachable(
            f"no batch is within {_words(job.budget)}: the fastest, a batch of {least.batch}, "
            f"takes {least.latency_ns / MS:.4g} ms. Allow more, or use a faster engine."
        )
    variant = max(choices, key=lambda v: choices[v].peak.rate)
    return _Tables(model, rows, variant, choices[variant])


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
        spreads = [
            (points[size].high_ns - points[size].low_ns) / points[size].median_ns
            for points in workers
            if size in points
        ]
        latency_ns = _alone_ns(model, candidate, job.budget) if job.budget else 0.0
        uncertainty = max(spreads, default=0.0) / 2
        rows.append(Row(size, model.rate(candidate), latency_ns, uncertainty))
    return rows


def _alone_ns(model: Model, candidate: Candidate, budget: Bound) -> float:
    """Return the budget's percentile of the largest batch on the slowest device."""
    caps = dict(candidate.caps)
    longest_ns = 0.0
    for device, points in model.measured[candidate.variant].workers:
        size = min(candidate.max_batch_size, caps.get(device, candidate.max_batch_size))
        longest_ns = max(longest_ns, _percentile_ns(points, size, budget.name))
    return longest_ns


def _percentile_ns(points: Mapping[int, Point], size: int, name: str) -> float:
    if size in points:
        return points[size].alone_ns[name]
    return curve_of({b: point.alone_ns[name] for b, point in points.items()}).service_ns(size)


def _candidates(job: Job, tables: _Tables) -> list[Candidate]:
    """Return the choice with each kind of worker, the system's first, and with more slots."""
    slots = job.space.slots or (2, _MORE_SLOTS)
    batch, variant = tables.choice.row.batch, tables.variant
    caps = space.with_batch(job, tables.model, variant, batch).caps
    first = Candidate(batch, 0, slots[0], job.space.workers[0], variant, caps)
    found = [first, *(replace(first, slots=more) for more in slots[1:])]
    found += [replace(first, workers=kind) for kind in job.space.workers[1:]]
    return space.distinct(found)


def _answer(
    job: Job,
    tables: _Tables,
    best: Candidate,
    runs: Sequence[Outcome],
    tried: Mapping[Candidate, Outcome],
) -> Answer:
    rates, row = [run.metric for run in runs], tables.choice.row
    spread = (max(rates) - min(rates)) / fmean(rates)
    predictions = [
        Predicted(Candidate(r.batch, 0, best.slots, best.workers, variant), r.rate, 0.0)
        for variant, table in tables.rows.items()
        for r in table
    ]
    others = ", ".join(f"{c}: {run.metric:,.6g}/s" for c, run in tried.items() if c != best)
    slacks: tuple[tuple[str, float], ...] = ()
    if job.budget is not None:
        text = f"{_words(job.budget)}: {row.latency_ns / MS:.4g} ms"
        slacks = ((text, 1 - row.latency_ns / job.budget.limit_ns),)
    return Answer(
        candidate=best,
        target_qps=float(f"{fmean(rates):.5g}"),
        value=min(rates),
        confirmed=tuple(runs),
        is_valid=all(run.valid for run in runs),
        confidence=None,
        predictions=tuple(sorted(predictions, key=lambda p: -p.qps)),
        measured=tuple(tables.model.measured.items()),
        notes=(
            *tables.choice.notes,
            f"S(b) predicts {row.rate:,.6g} samples/s; runs reached {fmean(rates):,.6g}, "
            f"within {spread:.1%} of each other.",
            *([f"Also tried: {others}."] if others else []),
        ),
        slacks=slacks,
    )


def _words(budget: Bound) -> str:
    return f"{budget.name} <= {budget.limit_ns / MS:g} ms of a batch that runs alone"
