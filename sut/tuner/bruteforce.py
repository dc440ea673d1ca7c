"""Searches without a model: bisection of every candidate on LoadGen's verdict, at full length.

`grid` tries every batch size, delay and number of slots. `bisect` tries only batch sizes, with the
system's queue delay, as LoadGen's FindPeakPerformance and the vendors' scripts do. Both use only
VALID, no percentile. S(b) only shows which batch sizes there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.tuner import server, space
from sut.tuner.confirm import rounded
from sut.tuner.messages import Answer, Predicted, Trial, run_trial
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
    peaks: dict[Candidate, float] = {}
    for candidate in candidates:
        peaks[candidate] = yield from _peak(job, candidate, model.rate(candidate))
        say(f"{candidate}: {peaks[candidate]:,.6g} queries/s")
    ranked = sorted(peaks, key=lambda c: -peaks[c])
    if not ranked or not peaks[ranked[0]]:
        raise server.Unreachable(server.unreachable(job, model))
    best = ranked[0]
    runs = []
    for _ in range(job.confirm_runs):
        runs.append((yield from run_trial(Trial("confirm", best, job.confirm_s, peaks[best]))))
    return Answer(
        candidate=best,
        target_qps=peaks[best],
        value=min(run.metric for run in runs),
        confirmed=tuple(runs),
        is_valid=all(run.valid for run in runs),
        confidence=None,
        predictions=tuple(Predicted(c, peaks[c], model.fill_ns(c, peaks[c])) for c in ranked),
        measured=tuple(model.measured.items()),
    )


def _peak(job: Job, candidate: Candidate, capacity: float) -> Generator[Ask, Reply, float]:
    """Widen until one rate is VALID and one is not, then halve the distance; 0.0: none is."""
    low, high, left = 0.0, 0.0, _BISECTIONS
    qps = rounded(_START_SHARE * capacity)
    while left and qps >= _LEAST_SHARE * capacity:
        run = yield from run_trial(Trial("search", candidate, job.confirm_s, qps))
        low, high = (qps, high) if run.valid else (low, qps)
        if low and high:
            qps, left = rounded((low + high) / 2), left - 1
        else:
            qps = rounded(low * _WIDEN if low else high / _WIDEN)
    return low
