"""ONNX Runtime behind the CUDA worker: I/O binding to fixed addresses, here with the host's memory.

What needs a GPU is in test_cuda_gpu.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnxruntime
import pytest

from backends.base import EngineSpec, TensorSpec
from backends.cuda.host_driver import HostDriver
from backends.cuda.options import CudaOptions
from backends.onnxruntime import session as ort
from backends.onnxruntime.cuda_session import (
    GpuOptions,
    Place,
    Target,
    gpu_providers,
    open_on,
    with_known_sizes,
)
from sut.base.errors import EngineError
from tests.backends.conformance import SeveralInputsTestCase, SlotsTestCase
from tests.backends.models import (
    SHAPE,
    THREE,
    linear,
    linear_answers,
    save,
    three,
    three_answers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from backends.base import Array, Arrays, Engine

INPUT = TensorSpec("x", SHAPE, "float32")


def spec_of(path: str) -> EngineSpec:
    return EngineSpec("onnxruntime", path, (INPUT,), None, 6, slots=2)


def open_on_host(spec: EngineSpec) -> Engine:
    path = str(spec.model_path)
    options = ort.Options(intra_op_threads=1)
    target = Target(onnxruntime, path, options, ort.providers("cpu"), Place("cpu", 0))
    return open_on(HostDriver(), target, spec, CudaOptions())


class TestBoundToFixedAddresses(SlotsTestCase):
    @staticmethod
    def open(spec: EngineSpec) -> Engine:
        return open_on_host(spec)

    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(save(linear(), tmp_path))

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestThreeInputsBoundToFixedAddresses(SeveralInputsTestCase, TestBoundToFixedAddresses):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(save(three(), tmp_path)), inputs=THREE)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


def test_an_output_of_unknown_size_is_refused() -> None:
    with pytest.raises(EngineError, match=r'm: output "y".*device cpu'):
        with_known_sizes(TensorSpec("y", (None,), "float32"), "m")


def test_the_providers_come_in_the_order_asked_for() -> None:
    cuda = gpu_providers("1", GpuOptions(prefer_nhwc=False))
    tensorrt = gpu_providers("1", GpuOptions(provider="tensorrt"))

    assert [name for name, _ in cuda] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert cuda[0][1]["device_id"] == "1"
    assert cuda[0][1]["prefer_nhwc"] == "0"
    assert tensorrt[0][0] == "TensorrtExecutionProvider"
