"""What a worker raised, as the line that the user reads."""

from __future__ import annotations

import pytest

from backends.cuda.errors import failure
from sut.base.errors import (
    BatchTooLarge,
    ConfigError,
    DataError,
    EngineError,
    SutError,
    WorkerError,
)
from sut.serve.workers.failures import describe, named, naming

NAME = "device 3, instance 1"
FULL = failure("device 3", "cudaMalloc", "cudaErrorMemoryAllocation", "out of memory")
LOST = failure("device 3", "cudaMalloc", "cudaErrorIllegalAddress", "illegal address")


SMALLER = "Lower max_batch_size, slots or instances."


class Silent(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("nothing to say")


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (ConfigError("option x"), ConfigError, "option x"),
        (DataError("a.npy: torn"), DataError, f"{NAME}: a.npy: torn"),
        (EngineError("m.onnx: bad"), EngineError, f"{NAME}: m.onnx: bad"),
        (EngineError("m.onnx, device 3: bad"), EngineError, "m.onnx, device 3: bad"),
        (FULL, BatchTooLarge, str(FULL)),
        (LOST, WorkerError, str(LOST)),
        (ValueError("two\nlines"), WorkerError, f"{NAME}: warm-up failed: ValueError: two"),
        (
            MemoryError("Unable to allocate 715. GiB"),
            BatchTooLarge,
            f"{NAME}: warm-up failed: Unable to allocate 715. GiB. {SMALLER}",
        ),
        (MemoryError(), BatchTooLarge, f"{NAME}: warm-up failed: out of memory. {SMALLER}"),
        (KeyboardInterrupt(), WorkerError, f"{NAME}: warm-up failed: KeyboardInterrupt"),
        (Silent(), WorkerError, f"{NAME}: warm-up failed: Silent"),
    ],
)
def test_a_failed_call_is_one_line_with_the_device(
    error: BaseException, kind: type[SutError], line: str
) -> None:
    found = named(describe(error), NAME, "warm_up")

    assert type(found) is kind
    assert str(found) == line


def test_naming_keeps_the_traceback() -> None:
    with pytest.raises(WorkerError) as caught, naming(NAME, "load"):
        raise RuntimeError("torn")

    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "RuntimeError: torn" in caught.value.worker_traceback


def test_c8_memory_that_a_batch_lacks_during_a_run_is_the_workers_failure() -> None:
    assert type(named(describe(MemoryError()), NAME, "infer")) is WorkerError
