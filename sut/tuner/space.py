"""The space of a search: what may vary on a system, and the candidates worth a prediction.

`space_of` returns what may vary; values that the user fixes on the command line do not. The other
functions make candidates. Predicts nothing itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from backends.base import PREPARES_SIZES, WITHOUT_MODEL
from scenarios import scenario
from sut.base.errors import ConfigError
from sut.config.constraints import FOLLOWED
from sut.config.settings import CPU
from sut.tuner.job import Candidate, Space, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue
    from sut.config.plan import Plan
    from sut.config.settings import WorkerKind
    from sut.tuner.job import Job
    from sut.tuner.model import Model


# Batch sizes at which S(b) is measured; a size beyond the bound ends the list.
BOUNDED_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
UNBOUNDED_SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)
# Where every size is compiled first: a few to begin with, more near the answer.
LADDER_SIZES = (1, 8, 32, 64, 128, 256)
# A ladder goes down to this part of its largest size; smaller batches are short anyway.
_LADDER_SHARE = 0.25
# Sizes to measure around the best predicted one, as shares of it.
_NEARBY = (0.8, 0.9, 1.0, 1.12)
# With a budget for the time of a batch, each size takes some seconds.
BUDGET_SIZES = tuple(1 << power for power in range(11))
# On a CPU a larger batch gains nothing and fills the memory.
_CPU_LARGEST = 64
_GPU_INSTANCES = (1, 2)
_MOST_SPLITS = 4
_THREADS_OPTION = {"onnxruntime": "intra_op_threads"}
# Batch sizes to try first; neighbours differ by about a quarter.
_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 26, 32, 40, 52, 64, 80, 104, 128, 160, 208, 256)
# Delays in units of the time that a batch takes to fill; below 1 it never fills. None: late.
_DELAYS_IN_FILLS = (None, 0.0, 1.0, 1.5, 2.0, 3.0)
# With a second batch in flight, the hops to and from a device cost nothing. With two more, a stall
# of the host does not stop the device either. An engine with one batch at a time gains nothing.
USUAL_SLOTS, ASYNC_SLOTS = 2, 4
MORE_SLOTS = (1, 2, 4)
_DELAY_STEP_US = 50
_NS_PER_US = 1e3


def space_of(
    plan: Plan,
    named: tuple[int, ...] = (),
    largest: int | None = None,
    varied: Mapping[str, Sequence[OptionValue]] | None = None,
    *,
    has_budget: bool = False,
) -> Space:
    """Return what the search may vary; values on the command line are fixed.

    Args:
        plan: the system and the command line.
        named: batch sizes to try; empty: the usual ones.
        largest: the largest batch to try; None for no limit.
        varied: values to try for backend options, or for `instances`, by name.
        has_budget: the time of a batch that runs alone is bounded.

    Raises:
        ConfigError: a number of instances is not a positive integer.
    """
    held, rules = plan.arguments, scenario(plan.scenario)
    is_cpu = plan.harness.backend in _THREADS_OPTION and set(plan.harness.own_devices) == {CPU}
    is_bounded = rules.has_bound or rules.objective == "latency"
    sizes: tuple[int, ...] = BOUNDED_SIZES if is_bounded else UNBOUNDED_SIZES
    sizes = BUDGET_SIZES if has_budget else sizes
    most = min(largest or max(sizes), _CPU_LARGEST if is_cpu else max(sizes))
    named = (held.max_batch_size,) if isinstance(held.max_batch_size, int) else named
    if named:
        sizes, most = (1, *named), max(named)
    is_single = rules.objective == "latency" and rules.samples_per_query == 1
    has_ladder = _has_ladder(plan)
    if has_ladder and not named:
        few = cuts(rules.samples_per_query) if rules.objective == "latency" else LADDER_SIZES
        sizes = few if not has_budget else sizes
    return Space(
        variants=_combined(_variants(plan, is_cpu, is_single), varied or {}),
        workers=_workers(plan, is_single),
        sizes=tuple(sorted({size for size in sizes if size <= most})),
        batches=tuple(sorted(named)),
        delays_us=() if held.max_queue_delay_us is None else (held.max_queue_delay_us,),
        slots=() if held.slots is None else (held.slots,),
        largest_batch=most,
        has_ladder=has_ladder,
        names_instances="instances" in (varied or {}),
    )


def _has_ladder(plan: Plan) -> bool:
    """Whether the engines run only the sizes that they prepare, and the user leaves these open."""
    harness, typed = plan.harness, plan.arguments.backend_options
    prepares = harness.backend in PREPARES_SIZES and set(harness.own_devices) != {CPU}
    return "graph_sizes" not in typed and (prepares or "graph_sizes" in harness.backend_options)


def cuts(samples: int) -> tuple[int, ...]:
    """Return the batch sizes that cut a query evenly."""
    return tuple(sorted({math.ceil(samples / parts) for parts in range(1, samples + 1)}))


def batches(job: Job, model: Model, variant: Variant) -> list[int]:
    """Return the batch sizes whose own time leaves room below the bound, ascending."""
    largest = largest_of(job, model, variant)
    sizes = job.space.batches or [*(b for b in _GRID if b < largest), largest]
    if model.is_exact and not job.space.batches:
        sizes = model.measured[variant].sizes
    return [b for b in sizes if b <= largest and leaves_room(job, model, variant, b)]


def nearby(job: Job, model: Model, best: Candidate) -> tuple[int, ...]:
    """Return the batch sizes around a predicted one that are worth a measurement, ascending."""
    known = model.measured[best.variant].sizes
    most = job.space.largest_batch or max(known)
    wanted = {min(most, round(best.max_batch_size * share)) for share in _NEARBY}
    return tuple(sorted(wanted - set(known) - {0}))


def ladder_of(job: Job, model: Model, variant: Variant, batch: int) -> tuple[int, ...]:
    """Return the sizes that the engines of a candidate are opened for; empty: their own.

    Those that were measured: their times are known, and they are compiled already.
    """
    if not job.space.has_ladder:
        return ()
    if not job.bounds:
        return (batch,)  # all batches are full
    known = model.measured[variant].sizes
    return (*(b for b in known if _LADDER_SHARE * batch <= b < batch), batch)


def largest_of(job: Job, model: Model, variant: Variant) -> int:
    """Return the largest batch size that was measured and is wanted."""
    measured = model.measured[variant].largest
    return min(measured, job.space.largest_batch or measured)


def leaves_room(job: Job, model: Model, variant: Variant, batch: int) -> bool:
    """Whether a batch that fills and runs at once can finish within the bound on any device."""
    if not job.bounds:
        return True
    curves = [curve for _, curve in model.measured[variant].curves]
    rate = sum(batch / curve.service_ns(batch) for curve in curves)
    fastest_ns = min(curve.service_ns(batch) for curve in curves)
    return fastest_ns + batch / rate / 2 <= job.bound.limit_ns


def with_batch(job: Job, model: Model, variant: Variant, batch: int) -> Candidate:
    """Return a candidate of a batch size with the usual delay and slots.

    Slower devices get as many samples as they can process in the time of the fastest.
    """
    caps: tuple[tuple[str, int], ...] = ()
    if model.measured[variant].is_uneven:
        caps = _caps(model, variant, batch)
    usual = ASYNC_SLOTS if model.measured[variant].is_async else USUAL_SLOTS
    usual += model.on_the_way(variant, batch)
    slots = job.space.slots[0] if job.space.slots else usual
    ladder = ladder_of(job, model, variant, batch)
    made = Candidate(batch, 0, slots, job.space.workers[0], variant, caps, ladder)
    return with_delay(job, model, made, 2.0)


def with_delay(job: Job, model: Model, candidate: Candidate, fills: float | None) -> Candidate:
    """Return the candidate with a delay of this many fill times of its batch; None: late."""
    if job.space.delays_us:
        return replace(candidate, max_queue_delay_us=job.space.delays_us[0])
    if fills is None:
        return replace(candidate, max_queue_delay_us="late")
    if candidate.max_batch_size == 1:
        return replace(candidate, max_queue_delay_us=0)
    delay_us = fills * model.fill_ns(candidate, model.rate(candidate)) / _NS_PER_US
    return replace(
        candidate, max_queue_delay_us=math.ceil(delay_us / _DELAY_STEP_US) * _DELAY_STEP_US
    )


def first_look(job: Job, model: Model) -> list[Candidate]:
    """Return every batch size of every variant; for unequal devices also without caps."""
    found = []
    for variant in model.measured:
        for batch in batches(job, model, variant):
            made = with_batch(job, model, variant, batch)
            found.append(made)
            if made.caps:
                found.append(with_delay(job, model, replace(made, caps=()), 2.0))
    return found


def around(job: Job, model: Model, best: Candidate, step: int) -> list[Candidate]:
    """Return the neighbours of a candidate in batch size, one step each way."""
    if job.space.batches or model.is_exact:
        return []
    near = [best.max_batch_size - step, best.max_batch_size + step]
    allowed = [b for b in near if 1 <= b <= largest_of(job, model, best.variant)]
    made = [with_batch(job, model, best.variant, b) for b in allowed]
    return made if best.caps else [replace(c, caps=()) for c in made]


def delays(job: Job, model: Model, candidate: Candidate) -> list[Candidate]:
    """Return the candidate with other queue delays, and closing late."""
    if job.space.delays_us:
        return [replace(candidate, max_queue_delay_us=us) for us in job.space.delays_us]
    if candidate.max_batch_size == 1:
        return []
    return [with_delay(job, model, candidate, fills) for fills in delays_in_fills(job)]


def delays_in_fills(job: Job) -> Sequence[float | None]:
    """Return the delays to try, in fill times of a batch; None: late.

    Late closing keeps a device busy at any load, so it does not help where that is limited.
    """
    is_limited = any(constraint.name in FOLLOWED for constraint in job.constraints)
    return _DELAYS_IN_FILLS[1:] if is_limited else _DELAYS_IN_FILLS


def slots(job: Job, model: Model, candidate: Candidate) -> list[Candidate]:
    """Return the candidate with other numbers of slots."""
    more = model.on_the_way(candidate.variant, candidate.max_batch_size)
    counts = job.space.slots or [count + more for count in MORE_SLOTS]
    return [replace(candidate, slots=count) for count in counts]


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return them in order, without duplicates."""
    return list(dict.fromkeys(candidates))


def _caps(model: Model, variant: Variant, batch: int) -> tuple[tuple[str, int], ...]:
    curves = model.measured[variant].by_device
    time_ns = min(curve.service_ns(batch) for curve in curves.values())
    found = []
    for device, curve in curves.items():
        within = (b for b in range(batch, 0, -1) if curve.service_ns(b) <= time_ns)
        found.append((device, next(within, 1)))
    return tuple((device, cap) for device, cap in found if cap < batch)


def grid(job: Job, model: Model) -> list[Candidate]:
    """Return every batch size with every delay and number of slots: brute force."""
    found = []
    for candidate in first_look(job, model):
        for delayed in [candidate, *delays(job, model, candidate)]:
            found += [delayed, *(slots(job, model, delayed) if job.space.slots else [])]
    return distinct(found)


def _workers(plan: Plan, is_single: bool) -> tuple[WorkerKind, ...]:
    own = plan.harness.workers
    if own == "remote":  # the cluster file says so
        return (own,)
    on_gpu = plan.harness.backend not in WITHOUT_MODEL and set(plan.harness.devices) != {CPU}
    if plan.arguments.workers is not None or on_gpu:  # there, others open the engines each time
        return (own,)
    kinds: list[WorkerKind] = ["thread", "process"]
    if is_single and len(plan.harness.devices) == 1:
        kinds.insert(0, "inline")
    elif own == "inline":
        own = "thread"
    return tuple(dict.fromkeys([own, *kinds]))


def _variants(plan: Plan, is_cpu: bool, is_single: bool) -> tuple[Variant, ...]:
    own, held = plan.harness.instances, plan.arguments
    option = _THREADS_OPTION.get(plan.harness.backend, "")
    is_held = held.instances is not None or option in held.backend_options
    if plan.harness.backend in WITHOUT_MODEL or is_held:
        return (Variant(own),)
    if is_cpu and plan.harness.remote is not None:  # a node's cores are not known here
        return (Variant(own),)
    if is_cpu:
        total = plan.harness.cores(CPU)
        counts = [1] if is_single else _splits(total)
        return tuple(Variant(n, ((option, total // n),)) for n in counts)
    return tuple(dict.fromkeys(Variant(n) for n in (own, *_GPU_INSTANCES)))


def _combined(
    variants: Sequence[Variant], varied: Mapping[str, Sequence[OptionValue]]
) -> tuple[Variant, ...]:
    """Return every variant with every value that the user named."""
    for count in varied.get("instances", ()):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"--vary instances: {count!r}; expected whole numbers from 1.")
    found = []
    for variant in variants:
        for values in product(*varied.values()):
            chosen: dict[str, OptionValue] = dict(zip(varied, values, strict=True))
            instances = chosen.pop("instances", variant.instances)
            assert isinstance(instances, int)
            found.append(Variant(instances, tuple({**dict(variant.options), **chosen}.items())))
    return tuple(dict.fromkeys(found))


def _splits(total: int) -> list[int]:
    """Return numbers of engines that share the cores: powers of two, and one per core."""
    powers = (1 << k for k in range(total.bit_length()))
    return sorted({*powers, total})[:_MOST_SPLITS]
