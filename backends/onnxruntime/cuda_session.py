"""ONNX Runtime on a GPU: a session that reads and writes fixed addresses on our stream.

The batch never leaves the device between copy and model: I/O binding takes the slots' buffers.
Knows no slots, events or graphs.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from backends.base import TensorSpec, describe
from backends.cuda.engine import CudaEngine, open_cuda_engine
from backends.cuda.gpu import open_driver
from backends.cuda.held import Held
from backends.cuda.options import CudaOptions
from backends.interface import main_dtype
from backends.onnxruntime import session as ort
from backends.options import read_options
from sut.base.errors import EngineError
from sut.base.onnx_file import check_file, precision_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from onnxruntime import InferenceSession, IOBinding

    from backends.base import EngineSpec, OptionValue
    from backends.cuda.driver import Driver

    ProviderList = list[tuple[str, dict[str, str]]]

TENSORRT = "TensorrtExecutionProvider"


@dataclass(frozen=True, slots=True)
class GpuOptions(CudaOptions):
    """Options of the onnxruntime backend on a GPU.

    Attributes:
        intra_op_threads: of what runs on the CPU; None is one a physical core.
        graph_optimization: how far the graph is rewritten when the model is loaded.
        provider: "tensorrt" lets TensorRT build what it can of the graph, each time it is opened.
        prefer_nhwc: run convolutions channels-last, as tensor cores want them.
        tf32: let float32 be multiplied with 10 bits of mantissa.
    """

    intra_op_threads: ort.Threads | None = None
    graph_optimization: Literal["all", "extended", "basic", "disabled"] = "all"
    provider: Literal["cuda", "tensorrt"] = "cuda"
    prefer_nhwc: bool = True
    tf32: bool = False


def options_on_gpu(options: Mapping[str, OptionValue], device: str) -> GpuOptions:
    """See `backends.onnxruntime.engine.options_of`."""
    return read_options(options, GpuOptions, f"onnxruntime backend, device {device}")


def open_on_gpu(spec: EngineSpec) -> CudaEngine:
    """See `backends.onnxruntime.engine.open_engine`; `spec.device` is the index of a GPU."""
    options = options_on_gpu(spec.options, spec.device)
    runtime = ort.import_runtime()
    wanted = gpu_providers(spec.device, options)
    ort.check_provider(runtime, spec.device, wanted[0][0])
    _load_libraries(runtime)
    path = check_file(spec.model_path)
    session_options = ort.Options(
        intra_op_threads=options.intra_op_threads, graph_optimization=options.graph_optimization
    )
    target = Target(runtime, path, session_options, wanted, Place("cuda", int(spec.device)))
    return open_on(open_driver(spec.device), target, spec, options)


def _load_libraries(runtime: ModuleType) -> None:
    """Load CUDA and cuDNN from NVIDIA's packages, which no search path names."""
    if hasattr(runtime, "preload_dlls"):  # from 1.21 on
        with redirect_stdout(sys.stderr):
            runtime.preload_dlls(directory="")


def open_on(driver: Driver, target: Target, spec: EngineSpec, options: CudaOptions) -> CudaEngine:
    """Open a session on a stream of `driver`, and an engine around it.

    Raises:
        EngineError: the model does not load or fit; nothing stays on the device.
    """
    held = Held(driver)
    try:
        driver.use()
        stream = held.keep(driver.stream(), driver.destroy_stream)
        for provider, settings in target.providers:
            if provider != ort.CPU:
                settings["user_compute_stream"] = str(driver.number(stream))
        session = target.session()
        kernel = OrtKernel(target, session, spec)
    except BaseException:
        held.close()
        raise
    where = f"{target.path}, device {spec.device}"
    return open_cuda_engine(driver, kernel, spec, options, where, stream)


def gpu_providers(device: str, options: GpuOptions) -> ProviderList:
    """Return ONNX Runtime's execution providers for a GPU, the wanted one first."""
    cuda = {
        "device_id": device,
        "prefer_nhwc": str(int(options.prefer_nhwc)),
        "use_tf32": str(int(options.tf32)),
        "do_copy_in_default_stream": "1",
    }
    chosen = [(ort.CUDA, cuda), (ort.CPU, {})]
    if options.provider == "tensorrt":
        chosen.insert(0, (TENSORRT, {"device_id": device}))
    return chosen


@dataclass(frozen=True, slots=True)
class Place:
    """A device as ONNX Runtime names it."""

    kind: Literal["cuda", "cpu"]
    index: int


@dataclass(frozen=True, slots=True)
class Target:
    """What to open, and where.

    Attributes:
        runtime: ONNX Runtime.
        path: of the model.
        options: of the session.
        providers: ONNX Runtime's, the one that must run the model first.
        place: where inputs and outputs lie.
    """

    runtime: ModuleType
    path: str
    options: ort.Options
    providers: ProviderList
    place: Place

    def session(self) -> InferenceSession:
        """Open a session.

        Raises:
            EngineError: it cannot be loaded, or the provider did not start.
        """
        return ort.open_session(self.runtime, self.path, self.options, self.providers)


class OrtKernel:
    """A session behind I/O binding. See backends.cuda.kernel.Kernel.

    No graphs: ONNX Runtime allocates while it runs, and its own graphs allow one batch size.
    """

    sizes: Sequence[int] = ()
    capturable = False

    def __init__(self, target: Target, session: InferenceSession, spec: EngineSpec) -> None:
        self._session: InferenceSession | None = session
        self._place = target.place
        self._where = target.path
        fitted = ort.fit_session(session, spec, target.path)
        self.inputs = fitted.inputs
        self.outputs = tuple(with_known_sizes(output, target.path) for output in fitted.outputs)
        self._bindings: dict[tuple[int, Sequence[int]], IOBinding] = {}
        self._run_options = target.runtime.RunOptions()
        # The engine waits for its own event; ONNX Runtime would wait for the whole device.
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self.facts: Mapping[str, OptionValue] = {
            "backend": "onnxruntime",
            "version": target.runtime.__version__,
            "provider": target.providers[0][0],
            "precision": precision_of(target.path, main_dtype(self.inputs)),
        }

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel."""
        self.enqueue(batch_size, sources, targets, stream)

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel. The stream is the one that the session was opened with."""
        session = self._session
        assert session is not None, "closed last of all"
        binding = self._bindings.get((batch_size, sources))
        if binding is None:
            binding = self._bind(session, batch_size, sources, targets)
            self._bindings[batch_size, sources] = binding
        try:
            session.run_with_iobinding(binding, self._run_options)
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            raise ort.failed_batch(batch_size, error, self._where) from error

    def close(self) -> None:
        """See Kernel."""
        self._bindings.clear()
        self._session = None

    def _bind(
        self, session: InferenceSession, size: int, sources: Sequence[int], targets: Sequence[int]
    ) -> IOBinding:
        binding = session.io_binding()
        place = (self._place.kind, self._place.index)
        for tensor, address in zip(self.inputs, sources, strict=True):
            shape = (size, *tensor.shape)
            binding.bind_input(tensor.name, *place, np.dtype(tensor.dtype), shape, address)
        for tensor, address in zip(self.outputs, targets, strict=True):
            shape = (size, *tensor.shape)
            binding.bind_output(tensor.name, *place, np.dtype(tensor.dtype), shape, address)
        return binding


def with_known_sizes(tensor: TensorSpec, where: str) -> TensorSpec:
    """Return an output of the model; raise EngineError if a size is open."""
    if None in tensor.shape:
        raise EngineError(
            f'{where}: output "{tensor.name}" is {describe(("N", *tensor.shape), tensor.dtype)}, '
            "and a GPU writes to buffers of a fixed size. Export the model with all sizes but the "
            "batch's, or use device cpu."
        )
    return tensor
