"""A batch that is too large is told apart from every other failure: a smaller one may do."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from backends.base import EngineSpec, TensorSpec, open_engine
from backends.cuda.errors import failure
from backends.onnxruntime.session import failed_batch
from backends.tensorrt.log import refusal
from backends.tensorrt.plan import check_batch
from sut.base.errors import BatchTooLarge, EngineError
from tests.backends.models import SHAPE, floats, linear, model, save


def opened(path: str, max_batch_size: int = 8, name: str = "x") -> None:
    """Open a model with ONNX Runtime."""
    tensor = TensorSpec(name, SHAPE, "float32")
    open_engine(EngineSpec("onnxruntime", path, (tensor,), None, max_batch_size))


def test_a_batch_axis_fixed_to_one_takes_a_smaller_batch(tmp_path: Path) -> None:
    with pytest.raises(BatchTooLarge, match="is fixed to 1"):
        opened(save(linear(batch=1), tmp_path))


def test_a_model_that_averages_its_batch_takes_a_batch_of_one(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)
    path = save(model([mean], [floats("x", "N", *SHAPE)], [floats("y", 1, *SHAPE)]), tmp_path)

    with pytest.raises(BatchTooLarge, match="expected 2 rows"):
        opened(path)


@pytest.mark.parametrize(("batch", "name"), [(3, "x"), ("N", "image")])
def test_a_model_that_does_not_fit_at_all_takes_no_smaller_batch(
    batch: int | str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as caught:
        opened(save(linear(batch=batch), tmp_path), name=name)

    assert not isinstance(caught.value, BatchTooLarge)


def test_a_batch_above_the_profiles_is_too_large() -> None:
    with pytest.raises(BatchTooLarge, match="no optimization profile above 6"):
        check_batch(Path("m.plan"), "x", 6, 7)


@pytest.mark.parametrize(
    ("said", "is_too_large"),
    [
        ("Failed to allocate memory for requested buffer of size 4096", True),
        ("CUDA failure 2: out of memory", True),
        ("std::bad_alloc", True),
        ("CUDA failure 700: an illegal memory access was encountered", False),
    ],
)
def test_onnx_runtime_without_memory_wants_a_smaller_batch(said: str, is_too_large: bool) -> None:
    error = failed_batch(64, RuntimeError(said), "m.onnx")

    assert isinstance(error, BatchTooLarge) == is_too_large


@pytest.mark.parametrize(
    ("said", "is_too_large"),
    [
        ("[executionContext.cpp::allocate::9] Error Code 2: OutOfMemory (no further info)", True),
        ("Error Code 1: Cuda Runtime (out of memory)", True),
        ("Error Code 1: Cuda Runtime (an illegal memory access was encountered)", False),
    ],
)
def test_tensorrt_without_memory_wants_a_smaller_batch(said: str, is_too_large: bool) -> None:
    assert isinstance(refusal("m.plan", [said]), BatchTooLarge) == is_too_large


def test_a_full_device_wants_a_smaller_batch() -> None:
    full = failure("device 0", "cudaMalloc", "cudaErrorMemoryAllocation", "out of memory")
    lost = failure("device 0", "cudaMalloc", "cudaErrorIllegalAddress", "lost")

    assert isinstance(full, BatchTooLarge)
    assert not isinstance(lost, BatchTooLarge)
