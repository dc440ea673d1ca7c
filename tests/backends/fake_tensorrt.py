"""What TensorRT offers for running a plan, in NumPy and on the host: no GPU runs these tests.

A plan of this library is text; its engine is `linear` or `three` of tests.backends.models. It is as
strict as TensorRT where the backend could go wrong: shapes are checked against the context's
profile, every tensor needs an address, and a context begins with the first profile.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from backends.base import TensorSpec
from backends.tensorrt.library import Library
from tests.backends.host_engine import at
from tests.backends.models import CLASSES, SHAPE, THREE, linear_answers, three_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Shape = tuple[int, ...]

TensorIOMode = Enum("TensorIOMode", ["INPUT", "OUTPUT"])
DataType = Enum("DataType", ["FLOAT", "HALF", "INT64", "BF16", "BOOL"])
LayerInformationFormat = Enum("LayerInformationFormat", ["JSON"])
ExecutionStrategy = Enum("ExecutionStrategy", ["LAZY", "EAGER"])


@dataclass(frozen=True)
class FakePlan:
    """What `deserialize_cuda_engine` makes an engine of.

    Attributes:
        profiles: (min, opt, max) of each.
        information: what the engine inspector says.
        dtype: of the input and the first output.
        fixed_output: the first output does not grow with the batch.
        fails: `execute_async_v3` returns False.
        three: the engine has the inputs THREE.
        unequal: the second input has other profiles than the first.
        eager: as TensorRT-RTX: contexts are wanted whose kernels are compiled at once.
    """

    profiles: tuple[tuple[int, int, int], ...] = ((1, 6, 6),)
    information: str = "{}"
    dtype: str = "FLOAT"
    fixed_output: bool = False
    fails: bool = False
    three: bool = False
    unequal: bool = False
    eager: bool = False

    def content(self) -> bytes:
        return json.dumps(vars(self)).encode()


class ILogger:
    """The severities are plain numbers here."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, text: str) -> None:
        raise NotImplementedError


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
        try:
            plan = FakePlan(**json.loads(content))
        except (ValueError, TypeError):
            self._logger.log(
                ILogger.ERROR, "IRuntime::deserializeCudaEngine: Error Code 1: no plan"
            )
            return None
        return Engine(plan, self._logger)


@dataclass
class Engine:
    plan: FakePlan
    logger: ILogger
    device_memory_size_v2 = 4096  # of the activations of a context

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return THREE if self.plan.three else (TensorSpec("x", SHAPE, "float32"),)

    @property
    def names(self) -> tuple[str, ...]:
        return (*(tensor.name for tensor in self.inputs), "logits", "best")

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.plan.profiles)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.OUTPUT if name in ("logits", "best") else TensorIOMode.INPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        known = {"best": "INT64", "ids": "INT64", "mask": "BOOL"}
        return DataType[known.get(name, self.plan.dtype)]

    def get_tensor_shape(self, name: str) -> Shape:
        return (-1, *self.row_shapes()[name])

    def row_shapes(self) -> Mapping[str, Shape]:
        inputs = {tensor.name: tensor.sizes for tensor in self.inputs}
        return {**inputs, "logits": (CLASSES,), "best": (1,)}

    def get_tensor_profile_shape(self, name: str, index: int) -> list[Shape]:
        position = self.names.index(name)
        more = 1 if self.plan.unequal and position else 0
        return [(size + more, *self.row_shapes()[name]) for size in self.plan.profiles[index]]

    def create_execution_context(self, settings: RuntimeConfig | None = None) -> Context | None:
        return Context(self) if self.plan.eager == _is_eager(settings) else None

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig()

    def create_engine_inspector(self) -> Engine:
        return self

    def get_engine_information(self, style: LayerInformationFormat) -> str:
        assert style is LayerInformationFormat.JSON
        return self.plan.information


@dataclass
class RuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy: ExecutionStrategy = ExecutionStrategy.LAZY


def _is_eager(settings: RuntimeConfig | None) -> bool:
    chosen = settings and settings.dynamic_shapes_kernel_specialization_strategy
    return chosen is ExecutionStrategy.EAGER


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.profile = 0
        self._batch = 0
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        least, _, most = self._engine.plan.profiles[self.profile]
        known = {tensor.name: tensor.sizes for tensor in self._engine.inputs}
        fits = tuple(shape[1:]) == known.get(name) and least <= shape[0] <= most
        self._batch = shape[0] if fits else 0
        if not fits:
            self._engine.logger.log(ILogger.ERROR, "the shape is not in the profile")
        return fits

    def get_tensor_shape(self, name: str) -> Shape:
        rows = 1 if self._engine.plan.fixed_output and name == "logits" else self._batch
        return (rows, *self._engine.row_shapes()[name])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return name in self._engine.names

    def execute_async_v3(self, stream: int) -> bool:
        if self._engine.plan.fails or set(self._addresses) != set(self._engine.names):
            self._engine.logger.log(ILogger.ERROR, "IContext::enqueueV3: Error Code 1: lost")
            return False
        batch = [
            at(self._addresses[tensor.name], (self._batch, *tensor.sizes), tensor.dtype)
            for tensor in self._engine.inputs
        ]
        answers = (three_answers if self._engine.plan.three else linear_answers)(*batch)
        for name, answer in zip(("logits", "best"), answers, strict=True):
            at(self._addresses[name], answer.shape, answer.dtype.name)[:] = answer
        return True


class FakeModule:
    """The package."""

    ILogger = ILogger
    Runtime = Runtime
    TensorIOMode = TensorIOMode
    LayerInformationFormat = LayerInformationFormat
    DynamicShapesKernelSpecializationStrategy = ExecutionStrategy


def library(name: str = "tensorrt", version: str = "11.4.0.106") -> Library:
    """Return the fake under the name of a real library."""
    return Library(name, version, FakeModule)
