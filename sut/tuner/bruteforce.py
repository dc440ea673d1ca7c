"""Searches without a model: bisection of every candidate on LoadGen's verdict, at full length.

`grid` tries every batch size, delay and number of slots. `bisect` tries only batch sizes, with the
system's queue delay, as LoadGen's FindPeakPerformance and the vendors' scripts do. Both use only
VALID, no percentile. S(b) only shows which batch sizes there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.tuner import predict, space
from sut.tuner.asking import Unreachable, confirm_in_turns, measured_model, run_trial
from sut.tuner.confirm import rounded
from sut.tuner.messages import Answer, Predicted, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Known, Say, Search, Steps
    from sut.tuner.model import Model

# Bisections of each candidate's rate between a VALID and an INVALID one: within 1 %.
_BISECTIONS = 5
_START_SHARE = 0.8
_WIDEN = 1.25
_LEAST_SHARE = 0.05


def grid(job: Job, known: Known, say: Say) -> Search:
    """Search every candidate."""
    return _search(job, known, say, space.grid)


def bisect(job: Job, known: Known, say: Say) -> Search:
    """Search every batch size, with one delay."""
    return _search(job, known, say, space.first_look)


def _search(
    job: Job,
    known: Known,
    say: Say,
    candidates_of: Callable[[Job, Model], Sequence[Candidate]],
) -> Search:
    model = yield from measured_model(job, known)
    peaks: dict[Candidate, float] = {}
    for candidate in candidates_of(job, model):
        peaks[candidate] = yield from _peak(job, candidate, model.rate(candidate))
        say(f"{candidate}: {peaks[candidate]:,.6g} queries/s")
    ranked = sorted(peaks, key=lambda c: -peaks[c])
    if not ranked or not peaks[ranked[0]]:
        raise Unreachable(predict.why_unreachable(job, model))
    best = ranked[0]
    runs = (yield from confirm_in_turns(job, [best], peaks[best]))[best]
    return Answer(
        candidate=best,
        confirmed=tuple(runs),
        is_valid=all(run.valid for run in runs),
        target_qps=peaks[best],
        predictions=tuple(Predicted(c, peaks[c], model.fill_ns(c, peaks[c])) for c in ranked),
    )


def _peak(job: Job, candidate: Candidate, capacity: float) -> Steps[float]:
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
