"""Runs TensorRT engines on a GPU: a plan as it is, or an ONNX file, of which a plan is built once.

One code path for `tensorrt` 10 and 11 and for `tensorrt_rtx`. Knows tensors, addresses and streams;
slots, copies and graphs are `backends.cuda`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.base import TensorSpec
from backends.cuda.engine import open_cuda_engine
from backends.cuda.gpu import open_driver
from backends.interface import fit_inputs, order_outputs
from backends.ladder import read_sizes
from backends.tensorrt.builder import BuildRequest, make_plan, tensor_spec
from backends.tensorrt.inspection import check_precision, engine_types, main_precision
from backends.tensorrt.library import load_library
from backends.tensorrt.log import make_log, reason, refusal
from backends.tensorrt.options import Options, options_of
from backends.tensorrt.plan import SUFFIXES, check_batch, check_sm, read_plan
from backends.tensorrt.profiles import Profile, one_profile, parse_profiles
from backends.tensorrt.progress import build_progress
from sut.base.errors import EngineError
from sut.base.onnx_file import check_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Engine, EngineSpec, OptionValue
    from backends.cuda.driver import Driver
    from backends.tensorrt.library import Library
    from backends.tensorrt.plan import Plan

log = logging.getLogger(__name__)


def open_engine(spec: EngineSpec) -> Engine:
    """Open the plan of `spec`, or the plan of its ONNX file, which is built if it is not kept.

    Raises:
        ConfigError: no TensorRT is installed, or a device or option does not exist or fit.
        EngineError: the file, or an engine that does not fit; in one line, with what to do.
    """
    options = options_of(spec.options, spec.device)
    library = load_library(options.library)
    path = check_file(spec.model_path)
    log.info("using %s", library.choice)
    if Path(path).suffix in SUFFIXES:
        plan = read_plan(Path(path), library)
        if plan.note is not None:
            name = plan.note.inputs[0].name
            check_batch(plan.path, name, plan.note.max_batch_size, spec.max_batch_size)
        driver = open_driver(spec.device)
    else:
        driver = open_driver(spec.device)
        plan = make_plan(build_request(spec, options, _sm(driver)), library, build_progress())
    check_sm(plan, _sm(driver), driver.where)
    driver.use()
    sizes = read_sizes(options.graph_sizes, spec.max_batch_size, "tensorrt backend")
    kernel = load_kernel(plan, library, spec, sizes if options.cuda_graphs else ())
    if options.precision:
        source = str(kernel.facts["precision_from"])
        try:
            check_precision(kernel.layers, options.precision, str(plan.path), source)
        except EngineError:
            kernel.close()
            raise
    return open_cuda_engine(driver, kernel, spec, options, f"{path}, device {spec.device}")


def build_request(spec: EngineSpec, options: Options, sm: int) -> BuildRequest:
    """Return what to build for a GPU of an SM, such as 89, if the model is an ONNX file."""
    if options.profiles is None:
        profiles = one_profile(spec.max_batch_size)
    else:
        profiles = parse_profiles(options.profiles)
    return BuildRequest(
        spec=spec,
        sm=sm,
        profiles=profiles,
        precision=options.precision,
        builder_level=options.builder_level,
        workspace_mib=options.workspace_mib,
        tf32=options.tf32,
    )


def device_sm(device: str) -> int:
    """Return the architecture of a GPU, such as 89, and make it the calling thread's device.

    Raises:
        ConfigError: cuda-python is missing, or `device` is not the index of a GPU.
        EngineError: there is no driver, or no such GPU.
    """
    return _sm(open_driver(device))


def _sm(driver: Driver) -> int:
    return int(driver.facts()["sm"])


def load_kernel(
    plan: Plan, library: Library, spec: EngineSpec, sizes: Sequence[int]
) -> TensorRtKernel:
    """Load a plan on the calling thread's device and look at its tensors and precision.

    Args:
        plan: what to load.
        library: that built it.
        spec: what the benchmark feeds, the output to return first, the largest batch.
        sizes: batch sizes to run; empty: every one.

    Raises:
        EngineError: TensorRT refuses the plan, or its tensors or profiles do not fit.
    """
    where, messages = str(plan.path), make_log(library)
    runtime = library.module.Runtime(messages)
    engine = runtime.deserialize_cuda_engine(plan.path.read_bytes())
    if engine is None:
        raise EngineError(
            f"{where}: {library} cannot load it: {reason(messages.errors)} If the driver and GPU "
            "are those that it was built for, run sut build again."
        )
    loaded = _Loaded(where, library, runtime, engine, messages)
    inputs, outputs = _tensors(loaded)
    fitting = fit_inputs(inputs, spec, where)
    profiles = _profiles(engine, fitting, where)
    check_batch(plan.path, fitting[0].name, profiles[-1].max, spec.max_batch_size)
    kernel = TensorRtKernel(loaded, fitting, profiles, sizes)
    try:
        kernel.describe(order_outputs(outputs, spec.output_name, where), plan)
    except BaseException:
        kernel.close()
        raise
    return kernel


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A plan in memory, with what must live as long as it does.

    Attributes:
        where: the plan, for messages.
        library: TensorRT.
        runtime: TensorRT's.
        engine: TensorRT's.
        log: TensorRT's messages.
    """

    where: str
    library: Library
    runtime: Any
    engine: Any
    log: Any


class TensorRtKernel:
    """See `backends.cuda.kernel.Kernel`: an engine with one execution context a profile.

    One context serves every slot: `backends.cuda` runs all on one stream, in order, and a graph
    keeps the addresses that it was captured with.

    Attributes:
        layers: computing layers by precision.
    """

    capturable = True

    def __init__(
        self,
        loaded: _Loaded,
        inputs: tuple[TensorSpec, ...],
        profiles: Sequence[Profile],
        sizes: Sequence[int],
    ) -> None:
        self.inputs = inputs
        self.outputs: tuple[TensorSpec, ...] = ()
        self.sizes = tuple(sizes)
        self.facts: Mapping[str, OptionValue] = {}
        self.layers: Mapping[str, int] = {}
        self._loaded: _Loaded | None = loaded
        self._profiles = profiles
        self._contexts: dict[int, Any] = {}

    def describe(self, outputs: Sequence[TensorSpec], plan: Plan) -> None:
        """Find out the outputs' sizes, by asking for a batch, and the precision."""
        loaded = self._open()
        batch = self._profiles[0].max  # a context begins with the first profile: no stream needed
        context = self._context(batch, 0)
        shapes = [tuple(context.get_tensor_shape(output.name)) for output in outputs]
        for output, shape in zip(outputs, shapes, strict=True):
            if not shape or shape[0] != batch or min(shape) < 0:
                raise EngineError(
                    f'{loaded.where}: output "{output.name}" is {list(shape)} for a batch of '
                    f"{batch}; expected {batch} rows of a known size. Export the model with an open"
                    " batch axis in its outputs too, and no other."
                )
        self.outputs = tuple(
            TensorSpec(output.name, shape[1:], output.dtype)
            for output, shape in zip(outputs, shapes, strict=True)
        )
        self.layers, source = _precision(loaded, plan)
        note = plan.note
        self.facts = {
            "backend": "tensorrt",
            "version": loaded.library.version,
            "provider": loaded.library.name,
            "precision": main_precision(self.layers),
            "precision_from": source,
            "layers": ", ".join(f"{count} {name}" for name, count in self.layers.items()),
            "plan": plan.path.name,
            "plan_sha256": note.plan_sha256 if note else "",
            "profiles": ",".join(map(str, self._profiles)),
        }

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel. TensorRT-RTX compiles its kernels here."""
        self.enqueue(batch_size, sources, targets, stream)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel."""
        context = self._context(batch_size, stream)
        tensors = (*self.inputs, *self.outputs)
        fits = True
        for tensor, address in zip(tensors, (*sources, *targets), strict=True):
            fits = context.set_tensor_address(tensor.name, address) and fits
        if not (fits and context.execute_async_v3(stream)):
            raise self._failure(f"a batch of {batch_size} cannot be enqueued")

    def memory_bytes(self) -> dict[str, int]:
        """See WeighedKernel. Activations are those of one context, as TensorRT planned them."""
        engine = self._open().engine
        sizes = {"activations": getattr(engine, "device_memory_size_v2", None)}
        return {name: int(size) for name, size in sizes.items() if size is not None}

    def close(self) -> None:
        """See Kernel. Contexts go before the engine, and the engine before the runtime."""
        self._contexts.clear()
        self._loaded = None

    def _context(self, batch_size: int, stream: int) -> Any:
        """Return the context of the profile for `batch_size`, set to it."""
        index = next(k for k, profile in enumerate(self._profiles) if batch_size <= profile.max)
        context = self._contexts.get(index)
        if context is None:
            context = self._contexts[index] = self._new_context(index, stream)
        for tensor in self.inputs:
            if not context.set_input_shape(tensor.name, (batch_size, *tensor.shape)):
                raise self._failure(f"a batch of {batch_size} does not fit its profiles")
        return context

    def _new_context(self, index: int, stream: int) -> Any:
        engine, module = self._open().engine, self._open().library.module
        if self._open().library.is_rtx:
            # By default the first batches run on slower kernels, and a graph would keep those.
            settings = engine.create_runtime_config()
            settings.dynamic_shapes_kernel_specialization_strategy = (
                module.DynamicShapesKernelSpecializationStrategy.EAGER
            )
            context = engine.create_execution_context(settings)
        else:
            context = engine.create_execution_context()
        if context is None:
            raise self._failure("no execution context can be made")
        if index and not context.set_optimization_profile_async(index, stream):
            raise self._failure(f"optimization profile {index} cannot be chosen")
        return context

    def _open(self) -> _Loaded:
        assert self._loaded is not None, "nobody uses it after close"
        return self._loaded

    def _failure(self, what: str) -> EngineError:
        loaded = self._open()
        return refusal(f"{loaded.where}: {what}", loaded.log.errors)


def _tensors(loaded: _Loaded) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return an engine's inputs and outputs, batch axis first."""
    engine, mode = loaded.engine, loaded.library.module.TensorIOMode
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
        shape, dtype = engine.get_tensor_shape(name), engine.get_tensor_dtype(name)
        spec = tensor_spec(name, shape, dtype, loaded.where)
        (inputs if engine.get_tensor_mode(name) == mode.INPUT else outputs).append(spec)
    return inputs, outputs


def _profiles(engine: Any, inputs: Sequence[TensorSpec], where: str) -> list[Profile]:
    """Return an engine's optimization profiles, ascending as they were built."""
    first, *others = (_profiles_of(engine, tensor.name) for tensor in inputs)
    if any(found != first for found in others):
        names = ", ".join(f'"{tensor.name}"' for tensor in inputs)
        raise EngineError(
            f"{where}: its inputs {names} have other batch sizes in their optimization profiles; "
            "expected the same for each. Build the plan again with sut build."
        )
    return first


def _profiles_of(engine: Any, name: str) -> list[Profile]:
    count = engine.num_optimization_profiles
    shapes = [engine.get_tensor_profile_shape(name, index) for index in range(count)]
    return [Profile(*(int(shape[0]) for shape in three)) for three in shapes]


def _precision(loaded: _Loaded, plan: Plan) -> tuple[Mapping[str, int], str]:
    """Return computing layers by precision, and where that is known from."""
    module = loaded.library.module
    inspector = loaded.engine.create_engine_inspector()
    layers = engine_types(inspector.get_engine_information(module.LayerInformationFormat.JSON))
    if layers:
        return layers, "engine inspector"
    if plan.note is not None:
        return plan.note.layers, plan.note.precision_from
    return {}, "nothing: the engine shows no layers, and there is no JSON of sut build beside it"
