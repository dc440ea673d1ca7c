"""What may vary for a benchmark on a system: the kinds of engine and worker, and batch sizes.

Everything that the user held on the command line stays as it is.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL
from sut.base.environment import cores
from sut.base.errors import ConfigError
from sut.tuner.candidate import Variant
from sut.tuner.job import Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue
    from sut.config.plan import Arguments, Plan
    from sut.config.settings import WorkerKind

# Batch sizes at which S(b) is measured; a size beyond the bound ends the list.
SERVER_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
OFFLINE_SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024)
# On a CPU a batch beyond this gains nothing and fills the memory.
_CPU_LARGEST = 64
_GPU_INSTANCES = (1, 2)
_MOST_SPLITS = 4
_THREADS_OPTION = {"onnxruntime": "intra_op_threads"}


def span(
    plan: Plan,
    held: Arguments,
    batches: Sequence[int] = (),
    largest: int | None = None,
    varied: Mapping[str, Sequence[OptionValue]] | None = None,
) -> Space:
    """Return what the search may vary.

    Args:
        plan: the resolved settings.
        held: what the command line says: it does not vary.
        batches: batch sizes that the user names.
        largest: none above it is tried.
        varied: values to try of the backend's options, or of `instances`, by name.

    Raises:
        ConfigError: a number of instances is none.
    """
    is_cpu = plan.harness.backend in _THREADS_OPTION and set(plan.harness.devices) == {"cpu"}
    sizes: tuple[int, ...] = OFFLINE_SIZES if plan.scenario == "Offline" else SERVER_SIZES
    most = min(largest or max(sizes), _CPU_LARGEST if is_cpu else max(sizes))
    if held.max_batch_size is not None:
        batches = (held.max_batch_size,)
    if batches:
        sizes, most = (1, *batches), max(batches)
    return Space(
        variants=_combined(_variants(plan, held, is_cpu), varied or {}),
        workers=_workers(plan, held),
        sizes=tuple(sorted({size for size in sizes if size <= most})),
        batches=tuple(sorted(batches)),
        delays_us=() if held.max_queue_delay_us is None else (held.max_queue_delay_us,),
        slots=() if held.slots is None else (held.slots,),
        largest_batch=most,
    )


def _workers(plan: Plan, held: Arguments) -> tuple[WorkerKind, ...]:
    own = plan.harness.workers
    if held.workers is not None:
        return (own,)
    kinds: list[WorkerKind] = ["thread", "process"]
    if plan.scenario == "SingleStream" and len(plan.harness.devices) == 1:
        kinds.insert(0, "inline")
    elif own == "inline":
        own = "thread"
    return tuple(dict.fromkeys([own, *kinds]))


def _variants(plan: Plan, held: Arguments, is_cpu: bool) -> tuple[Variant, ...]:
    own = plan.harness.instances
    option = _THREADS_OPTION.get(plan.harness.backend, "")
    is_held = held.instances is not None or option in held.backend_options
    if plan.harness.backend in WITHOUT_MODEL or is_held:
        return (Variant(own),)
    if is_cpu:
        total = cores()
        counts = [1] if plan.scenario == "SingleStream" else _splits(total)
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
    """Return by how many engines the cores may be shared: powers of two, and all of them."""
    powers = (1 << k for k in range(total.bit_length()))
    return sorted({*powers, total})[:_MOST_SPLITS]
