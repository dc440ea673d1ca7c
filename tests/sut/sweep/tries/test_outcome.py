"""Errors of libraries, as they word them: a full memory is told apart from all else."""

from __future__ import annotations

import errno

import pytest

from backends.cuda.errors import failure
from sut.base.errors import BatchTooLarge, EngineError
from sut.sweep.tries.outcome import Kind, Outcome, kind_of, worst


class OutOfMemoryError(RuntimeError):
    """Torch's has this name."""


FULL = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total ..."),
    failure("device 0", "cudaMalloc", "cudaErrorMemoryAllocation", "out of memory"),
    RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("bfc_arena.cc:376 Available memory of 12 is smaller than requested bytes of 99. "
                 "Failed to allocate memory for requested buffer of size 99"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)"),
    RuntimeError("Requested amount of GPU memory (8589934592 bytes) could not be allocated."),
    BatchTooLarge("m.onnx: a batch of 512 failed: Failed to allocate memory for requested buffer"),
]  # fmt: skip
VANISHED = [
    failure("device 1", "cudaSetDevice", "cudaErrorInvalidDevice", "invalid device ordinal"),
    RuntimeError("CUDA error: no CUDA-capable device is detected"),
    RuntimeError("Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost"),
]
OTHER = [
    failure("device 0", "cudaMemcpy", "cudaErrorIllegalAddress", "an illegal memory access"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    ValueError("shape mismatch in memory layout"),
    EngineError("m.onnx: not an ONNX model"),
    OSError(errno.ENOENT, "No such file or directory"),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_memory(error: Exception) -> None:
    assert kind_of(error) is Kind.OUT_OF_MEMORY


@pytest.mark.parametrize("error", VANISHED, ids=str)
def test_a_device_that_is_gone(error: Exception) -> None:
    assert kind_of(error) is Kind.VANISHED


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_any_other_error_is_not_about_memory(error: Exception) -> None:
    assert kind_of(error) is Kind.FAILED


def test_a_batch_axis_that_is_fixed_is_not_about_memory() -> None:
    assert kind_of(BatchTooLarge("the batch axis is fixed to 1")) is Kind.BATCH_REFUSED


def test_the_cause_counts_whatever_it_is_wrapped_in() -> None:
    wrapped = EngineError("the first batch failed")
    wrapped.__cause__ = MemoryError()
    assert kind_of(wrapped) is Kind.OUT_OF_MEMORY


def test_a_group_has_the_outcome_of_the_one_at_fault() -> None:
    full = Outcome(Kind.OUT_OF_MEMORY, "device 0: full")
    assert worst([Outcome(Kind.STOPPED), full, Outcome(Kind.OK)]) is full
