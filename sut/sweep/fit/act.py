"""What a try of `sut fit` does: runs a few batches, and says what memory they took.

Runs in the process of the try; see sut.sweep.tries.attempt.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.base import AsyncEngine, WeighedEngine
from sut.base.resident import resident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Engine, TensorSpec
    from sut.sweep.tries.attempt import Attempt

# The first batch allocates, the second shows that nothing is left to do; the others are timed. Of
# batches that take long, one shows as much as three short ones.
_TIMED, _LONG_S = 3, 1.0
# Allocators settle within a few batches. Memory that still grows after so many rounds leaks.
_ROUNDS = 4
_SETTLED_BYTES = 1_000_000
# Bound samples: a batch takes them over and over, so that a large one needs no large data set.
_BOUND = 2


def act(attempt: Attempt) -> dict[str, Any]:
    """Run batches of the engine's largest size; return times in s and memory in bytes."""
    engine, batch = attempt.engine, attempt.request.max_batch_size
    count = min(batch, _BOUND)
    engine.bind(attempt.samples(count))
    rows = [k % count for k in range(batch)]
    attempt.at_barrier()
    _run(engine, rows)
    start_s = time.monotonic()
    _run(engine, rows)
    batch_s = max(time.monotonic() - start_s, 1e-6)
    timed = min(_TIMED, max(1, int(_LONG_S / batch_s)))
    start_s = time.monotonic()
    grown = _run_on(engine, rows, timed)
    seconds = time.monotonic() - start_s
    for _ in range(_ROUNDS - 1):
        if grown > _SETTLED_BYTES:
            grown = _run_on(engine, rows, timed)
    memory = resident()
    assert memory is not None, "this process lives"
    return {
        "opening": attempt.opening,
        "private_peak_bytes": memory.private_peak,
        "grown_bytes_per_batch": grown // timed if grown > _SETTLED_BYTES else 0,
        "device": dict(engine.memory_bytes()) if isinstance(engine, WeighedEngine) else {},
        "io_bytes": _size(engine.inputs) + _size(engine.outputs),
        "samples_per_s": batch * _slots(engine) * timed / seconds,
    }


def _run_on(engine: Engine, rows: Sequence[int], batches: int) -> int:
    """Run so many batches; return by how much the peak of this process's memory grew, in bytes."""
    before = resident()
    for _ in range(batches):
        _run(engine, rows)
    after = resident()
    assert before is not None, "this process lives"
    assert after is not None, "this process lives"
    return max(0, after.private_peak - before.private_peak)


def _run(engine: Engine, rows: Sequence[int]) -> None:
    """Run one batch in each slot, all in flight at once."""
    if not isinstance(engine, AsyncEngine):
        engine.infer(rows)
        return
    for slot in range(engine.slots):
        engine.launch(slot, rows)
    for slot in range(engine.slots):
        engine.wait(slot)


def _slots(engine: Engine) -> int:
    return engine.slots if isinstance(engine, AsyncEngine) else 1


def _size(tensors: Sequence[TensorSpec]) -> int:
    """Return the bytes of one sample of these tensors; an open axis counts as 1."""
    return sum(
        int(np.prod(tensor.sizes, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
        for tensor in tensors
    )
