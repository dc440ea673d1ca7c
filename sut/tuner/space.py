"""Which candidates are worth a prediction: from S(b), the bound, and what the user allows.

Predicts nothing itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from sut.tuner.candidate import Candidate, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sut.tuner.job import Job
    from sut.tuner.model import Model

NS_PER_US = 1e3
# Batch sizes tried first: neighbours differ by about a quarter.
_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 26, 32, 40, 52, 64, 80, 104, 128, 160, 208, 256)
# A delay in units of the time that a batch takes to fill: below 1 it never fills.
DELAYS_IN_FILLS = (0.0, 1.0, 1.5, 2.0, 3.0)
# With a second batch in flight the hops to and from a device cost nothing; with two more also a
# stall of the host does not stop it. An engine that takes one batch at a time gains nothing then.
USUAL_SLOTS, ASYNC_SLOTS = 2, 4
MORE_SLOTS = (1, 2, 4)
_DELAY_STEP_US = 50


def batches(job: Job, model: Model, variant: Variant) -> list[int]:
    """Return the batch sizes whose own time leaves room below the bound, ascending."""
    largest = min(model.largest(variant), job.space.largest_batch or math.inf)
    sizes = job.space.batches or [*(b for b in _GRID if b < largest), int(largest)]
    return [b for b in sizes if b <= largest and leaves_room(job, model, variant, b)]


def leaves_room(job: Job, model: Model, variant: Variant, batch: int) -> bool:
    """Whether a batch that fills and runs at once is back within the bound, somewhere."""
    if not job.bounds:
        return True
    curves = [curve for _, curve in model.curves(variant)]
    rate = sum(batch / curve.service_ns(batch) for curve in curves)
    fastest_ns = min(curve.service_ns(batch) for curve in curves)
    return fastest_ns + batch / rate / 2 <= job.bound.limit_ns


def with_batch(job: Job, model: Model, variant: Variant, batch: int) -> Candidate:
    """Return a candidate of a batch size with the usual delay and slots.

    Devices that are slower than the fastest get as many samples as they can do in its time.
    """
    caps: tuple[tuple[str, int], ...] = ()
    if model.is_uneven(variant):
        caps = _caps(model, variant, batch)
    usual = ASYNC_SLOTS if model.measured[variant].is_async else USUAL_SLOTS
    slots = job.space.slots[0] if job.space.slots else usual
    made = Candidate(batch, 0, slots, job.space.workers[0], variant, caps)
    return with_delay(job, model, made, 2.0)


def with_delay(job: Job, model: Model, candidate: Candidate, fills: float) -> Candidate:
    """Return the candidate with a delay of so many times the time in which its batch fills."""
    if job.space.delays_us:
        return replace(candidate, max_queue_delay_us=job.space.delays_us[0])
    if candidate.max_batch_size == 1:
        return replace(candidate, max_queue_delay_us=0)
    delay_us = fills * model.fill_ns(candidate, model.rate(candidate)) / NS_PER_US
    return replace(
        candidate, max_queue_delay_us=math.ceil(delay_us / _DELAY_STEP_US) * _DELAY_STEP_US
    )


def first_look(job: Job, model: Model) -> list[Candidate]:
    """Return every batch size of every variant; of uneven devices also without own caps."""
    found = []
    for variant in job.space.variants:
        for batch in batches(job, model, variant):
            made = with_batch(job, model, variant, batch)
            found.append(made)
            if made.caps:
                found.append(with_delay(job, model, replace(made, caps=()), 2.0))
    return found


def around(job: Job, model: Model, best: Candidate, step: int) -> list[Candidate]:
    """Return neighbours of a candidate in batch size, a step away each way."""
    if job.space.batches:
        return []
    near = [best.max_batch_size - step, best.max_batch_size + step]
    allowed = [b for b in near if 1 <= b <= (job.space.largest_batch or math.inf)]
    largest = model.largest(best.variant)
    made = [with_batch(job, model, best.variant, b) for b in allowed if b <= largest]
    return made if best.caps else [replace(c, caps=()) for c in made]


def delays(job: Job, model: Model, candidate: Candidate) -> list[Candidate]:
    """Return the candidate with other queue delays."""
    if job.space.delays_us:
        return [replace(candidate, max_queue_delay_us=us) for us in job.space.delays_us]
    if candidate.max_batch_size == 1:
        return []
    return [with_delay(job, model, candidate, fills) for fills in DELAYS_IN_FILLS]


def slots(job: Job, candidate: Candidate) -> list[Candidate]:
    """Return the candidate with other numbers of slots."""
    return [replace(candidate, slots=count) for count in job.space.slots or MORE_SLOTS]


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return them without repeats, in their order."""
    return list(dict.fromkeys(candidates))


def _caps(model: Model, variant: Variant, batch: int) -> tuple[tuple[str, int], ...]:
    curves = model.curves(variant)
    time_ns = min(curve.service_ns(batch) for _, curve in curves)
    found: dict[str, int] = {}
    for device, curve in curves:
        within = (b for b in range(batch, 0, -1) if curve.service_ns(b) <= time_ns)
        found[device] = min(next(within, 1), found.get(device, batch))
    return tuple((device, cap) for device, cap in found.items() if cap < batch)


def grid(job: Job, model: Model) -> Iterator[Candidate]:
    """Yield every batch size with every delay and number of slots: brute force."""
    for candidate in first_look(job, model):
        for delayed in distinct([candidate, *delays(job, model, candidate)]):
            yield from distinct([delayed, *(slots(job, delayed) if job.space.slots else [])])
