"""The CUDA worker without a GPU: a kernel in NumPy, on a driver whose device is the host."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from backends.base import EngineSpec, TensorSpec
from backends.cuda.engine import CudaEngine, open_cuda_engine
from backends.cuda.host_driver import HostDriver
from backends.cuda.options import CudaOptions
from backends.ladder import read_sizes
from backends.options import read_options
from tests.backends.models import CLASSES, linear_answers, three_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, OptionValue
    from backends.cuda.driver import Driver

SHAPE = (2, 3, 4)
INPUT = TensorSpec("x", SHAPE, "float32")
OUTPUTS = (TensorSpec("logits", (CLASSES,), "float32"), TensorSpec("best", (1,), "int64"))
WHERE = "linear"


class LinearKernel:
    """tests.backends.models.linear, of the rows that lie at an address.

    Attributes:
        ran: size of every batch that it computed.
        closed: times that it was closed.
    """

    inputs: tuple[TensorSpec, ...] = (INPUT,)
    outputs: tuple[TensorSpec, ...] = OUTPUTS

    def __init__(self, sizes: Sequence[int], *, capturable: bool = True) -> None:
        self.sizes = sizes
        self.capturable = capturable
        self.facts: Mapping[str, OptionValue] = {
            "backend": "linear",
            "version": "1",
            "provider": "numpy",
            "precision": "fp32",
        }
        self.ran: list[int] = []
        self.closed = 0

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        self.enqueue(batch_size, sources, targets, stream)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        self.ran.append(batch_size)
        batch = [
            at(address, (batch_size, *tensor.sizes), tensor.dtype)
            for address, tensor in zip(sources, self.inputs, strict=True)
        ]
        for answer, tensor, address in zip(self.answers(*batch), OUTPUTS, targets, strict=True):
            block = at(address, answer.shape, tensor.dtype)
            block[:] = answer

    def answers(self, *batch: Array) -> tuple[Array, ...]:
        return linear_answers(*batch)

    def close(self) -> None:
        self.closed += 1


class ThreeKernel(LinearKernel):
    """tests.backends.models.three; it reads as many of the mask as the model has."""

    def __init__(
        self, inputs: tuple[TensorSpec, ...], sizes: Sequence[int], *, capturable: bool = True
    ) -> None:
        super().__init__(sizes, capturable=capturable)
        self.inputs = inputs

    def answers(self, *batch: Array) -> tuple[Array, ...]:
        ids, mask, values = batch
        return three_answers(ids, mask[:, :6], values)


def at(address: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Return the array that lies at an address."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = memoryview((ctypes.c_uint8 * size).from_address(address))
    return np.frombuffer(block, np.uint8).view(dtype).reshape(shape)


def spec_of(
    *, slots: int = 3, inputs: tuple[TensorSpec, ...] = (INPUT,), **options: OptionValue
) -> EngineSpec:
    """Return a spec for `open_on_host`."""
    return EngineSpec("linear", None, inputs, None, 6, options=options, slots=slots)


def open_on_host(
    spec: EngineSpec, driver: Driver | None = None, *, graphs: bool = True
) -> CudaEngine:
    """Open the CUDA worker on the host."""
    options = read_options(spec.options, CudaOptions, WHERE)
    sizes = read_sizes(options.graph_sizes, spec.max_batch_size, WHERE) if graphs else ()
    kernel = LinearKernel(sizes, capturable=graphs)
    if len(spec.inputs) > 1:
        kernel = ThreeKernel(spec.inputs, sizes, capturable=graphs)
    return open_cuda_engine(driver or HostDriver(), kernel, spec, options, WHERE)
