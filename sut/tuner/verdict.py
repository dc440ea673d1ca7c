"""Judges an answer: whether its confirmation runs kept every bound and constraint.

The runs have LoadGen's own verdict. A report only shows what is decided here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sut.tuner.job import Job
    from sut.tuner.messages import Answer, Outcome

MS = 1e6


def judged(job: Job, answer: Answer) -> Answer:
    """Return the answer with its slacks; it is not valid if it breaks a constraint."""
    slacks = (*answer.slacks, *_slacks(job, answer))
    broken = [text for text, slack in slacks if slack < 0]
    if not broken:
        return replace(answer, slacks=slacks)
    notes = (*answer.notes, f"Broken: {'; '.join(broken)}.")
    return replace(answer, is_valid=False, notes=notes, slacks=slacks)


def _slacks(job: Job, answer: Answer) -> list[tuple[str, float]]:
    """Return every bound and constraint as text, with its slack in the worst run."""
    runs = answer.confirmed
    found = []
    for bound in job.bounds:
        worst = max((run.latency_ns[bound.name] for run in runs), default=bound.limit_ns)
        text = f"{bound.name} {worst / MS:.4g} <= {bound.limit_ms:g} ms"
        found.append((text, 1 - worst / bound.limit_ns))
    bounded = {bound.name for bound in (*job.bounds, job.budget) if bound is not None}
    for constraint in job.constraints:
        if constraint.name not in bounded:
            values = [_figure(constraint.name, answer, run) for run in runs]
            slack = min((constraint.slack(value) for value in values), default=0.0)
            found.append((constraint.text, slack))
    return found


def _figure(name: str, answer: Answer, run: Outcome) -> float:
    if name == "batch":
        return float(answer.candidate.max_batch_size)
    return run.figures.get(name, math.inf)
