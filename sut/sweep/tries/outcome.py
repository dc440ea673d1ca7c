"""What became of a try, and what an error means: a full memory is told apart from all else. Pure.

Only types and texts of errors are looked at, so that no inference library is imported here.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sut.base.errors import BatchTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(StrEnum):
    """What became of a try."""

    OK = "ok"
    OUT_OF_MEMORY = "out of memory"  # a library or the device said so
    OVER_LIMIT = (
        "over the memory limit"  # ended from outside: by the kernel for lack of memory, or by us
    )
    BATCH_REFUSED = (
        "batch refused"  # the model or its engine takes no such batch, whatever the memory
    )
    HUNG = "hung"
    VANISHED = "device vanished"
    SIGNALLED = "ended by a signal"
    FAILED = "failed"
    STOPPED = "stopped"  # it had no fault: another process of its group had


# The try needs more memory than there is.
FULL = frozenset({Kind.OUT_OF_MEMORY, Kind.OVER_LIMIT})

# How libraries say that memory is full: CUDA's runtime and driver, cuBLAS and cuDNN, torch on a GPU
# and on a CPU, ONNX Runtime's arena, TensorRT, C++, and the C library.
_FULL = re.compile(
    r"cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
    r"|out of memory|OutOfMemory|kOUT_OF_MEMORY"
    r"|can't allocate memory|cannot allocate memory|failed to allocate|bad_?alloc\b"
    r"|GPU memory .{0,60}could not be allocated|insufficient memory",
    re.IGNORECASE,
)
# How they say that a device is not there any more. The last is Linux's driver in its log, and NVML.
_VANISHED = re.compile(
    r"cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE|no CUDA-capable device"
    r"|cudaErrorInvalidDevice\b|CUDA_ERROR_INVALID_DEVICE\b|invalid device ordinal"
    r"|cudaErrorDevicesUnavailable|CUDA_ERROR_DEVICE_UNAVAILABLE"
    r"|GPU[ _]is[ _]lost|fallen off the bus",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one process.

    Attributes:
        kind: see Kind.
        message: one line with the device; empty for "ok".
        figures: what the act returned; empty unless "ok".
        facts: of the engine and of its process; empty if none opened.
        traceback: of an error in the process, or an empty text.
        seconds: from the process's start to its answer.
    """

    kind: Kind
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    traceback: str = ""
    seconds: float = 0.0

    @property
    def is_full(self) -> bool:
        """Whether it needs more memory than there is."""
        return self.kind in FULL


def kind_of(error: BaseException) -> Kind:
    """Return what an error that an engine raised means."""
    causes = list(_causes(error))
    if any(_is_full(cause) for cause in causes):
        return Kind.OUT_OF_MEMORY
    if any(_VANISHED.search(str(cause)) for cause in causes):
        return Kind.VANISHED
    # Only what is left: a full memory is also a batch that is too large.
    if any(isinstance(cause, BatchTooLarge) for cause in causes):
        return Kind.BATCH_REFUSED
    return Kind.FAILED


def worst(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of a group of processes: the first that has a fault of its own."""
    order = (Kind.VANISHED, Kind.OUT_OF_MEMORY, Kind.OVER_LIMIT, Kind.BATCH_REFUSED, Kind.HUNG,
             Kind.SIGNALLED, Kind.FAILED, Kind.STOPPED, Kind.OK)  # fmt: skip
    return min(outcomes, key=lambda outcome: order.index(outcome.kind))


def _is_full(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, and ours of CUDA
        or _FULL.search(str(error)) is not None
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and those that it comes from."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
