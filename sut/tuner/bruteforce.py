"""Searches without a model: bisection of every candidate on LoadGen's verdict, at full length.

`grid` tries every batch size, delay and number of slots. `bisect` tries only batch sizes, with the
system's queue delay, as LoadGen's FindPeakPerformance and the vendors' scripts do. Both use only
VALID, no percentile. S(b) only shows which batch sizes there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.tuner import server, space
from sut.tuner.confirm import rounded
from sut.tuner.messages import Answer, Outcome, Predicted, Trial
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, MutableMapping

    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Ask, Reply, Search

# Bisections of each candidate's rate between a VALID and an INVALID one: within 1 %.
_BISECTIONS = 5
_START_SHARE = 0.8
_WIDEN = 1.25
_LEAST_SHARE = 0.05


def grid(job: Job, known: MutableMapping[str, float], say: Callable[[str], None]) -> Search:
    """Search every candidate."""
    measured = yield from server.measure(job)
    model = Model(measured, job.bounds, job.confirm_s, known)
    return (yield from _search(job, model, space.distinct(list(space.grid(job, model))), say))


def bisect(job: Job, known: MutableMapping[str, float], say: Callable[[str], None]) -> Search:
    """Search every batch size, with one delay."""
    measured = yield from server.measure(job)
    model = Model(measured, job.bounds, job.confirm_s, known)
    return (yield from _search(job, model, space.first_look(job, model), say))


def _search(
    job: Job, model: Model, candidates: Iterable[Candidate], say: Callable[[str], None]
) -> Search:
    peaks: dict[Candidate, tuple[float, Outcome | None]] = {}
    for candidate in candidates:
        peaks[candidate] = yield from _peak(job, candidate, model.rate(candidate))
        say(f"{candidate}: {peaks[candidate][0]:,.6g} queries/s")
    ranked = sorted(peaks, key=lambda c: -peaks[c][0])
    best = ranked[0] if ranked else None
    if best is None or not peaks[best][0]:
        raise server.Unreachable(server.unreachable(job, model))
    qps = peaks[best][0]
    runs = []
    for _ in range(job.confirm_runs):
        run = yield Trial("confirm", best, job.confirm_s, qps)
        assert isinstance(run, Outcome)
        runs.append(run)
    return Answer(
        candidate=best,
        target_qps=qps,
        value=min(run.metric for run in runs),
        confirmed=tuple(runs),
        is_valid=all(run.valid for run in runs),
        confidence=None,
        predictions=tuple(Predicted(c, peaks[c][0], model.fill_ns(c, peaks[c][0])) for c in ranked),
        measured=tuple(model.measured.items()),
    )


def _peak(
    job: Job, candidate: Candidate, capacity: float
) -> Generator[Ask, Reply, tuple[float, Outcome | None]]:
    """Widen until one rate is VALID and one is not, then halve the distance."""
    qps = rounded(_START_SHARE * capacity)
    run = yield from _try(job, candidate, qps)
    low, high = (qps, 0.0) if run.valid else (0.0, qps)
    best = run if run.valid else None
    while not (low and high):
        qps = rounded(low * _WIDEN if low else high / _WIDEN)
        if qps < _LEAST_SHARE * capacity:
            return 0.0, None
        run = yield from _try(job, candidate, qps)
        low, high, best = (qps, high, run) if run.valid else (low, qps, best)
    for _ in range(_BISECTIONS):
        qps = rounded((low + high) / 2)
        run = yield from _try(job, candidate, qps)
        low, high, best = (qps, high, run) if run.valid else (low, qps, best)
    return low, best


def _try(job: Job, candidate: Candidate, qps: float) -> Generator[Ask, Reply, Outcome]:
    run = yield Trial("search", candidate, job.confirm_s, qps)
    assert isinstance(run, Outcome)
    return run
