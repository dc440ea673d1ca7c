"""Errors of CUDA calls. Out of memory has its own type, because a smaller batch may still fit."""

from __future__ import annotations

from sut.base.errors import BatchTooLarge, SutError

OUT_OF_MEMORY = "cudaErrorMemoryAllocation"


class CudaError(SutError):
    """A CUDA call failed.

    Attributes:
        name: CUDA's name of the error, such as "cudaErrorIllegalAddress".
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class OutOfMemoryError(CudaError, BatchTooLarge):
    """The device, or pinned host memory, is full."""


def failure(where: str, call: str, name: str, text: str) -> CudaError:
    """Return the error for a failed call: where, which call, CUDA's name and its text."""
    message = f"{where}: {call} failed with {name}: {text}."
    if name == OUT_OF_MEMORY:
        return OutOfMemoryError(f"{message} Lower max_batch_size, slots or instances.", name)
    return CudaError(message, name)
