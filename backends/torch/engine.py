"""Runs models with torch through the CUDA worker: channels-last, compiled, frozen, as CUDA graphs.

On device "cpu" the same worker runs with the host as its device: to try a model, not for speed.
Knows tensors only: neither response ids nor scenarios nor LoadGen.
"""

from __future__ import annotations

import contextlib
import ctypes
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.cuda.driver import DEVICES
from backends.cuda.engine import CudaEngine, open_cuda_engine
from backends.cuda.errors import OUT_OF_MEMORY, OutOfMemoryError
from backends.cuda.gpu import open_driver
from backends.cuda.host_driver import HostDriver
from backends.interface import FIRST_ROWS
from backends.ladder import fitting, read_sizes
from backends.options import read_options
from backends.torch.libraries import keep_compiled
from backends.torch.options import Options, options_of, where_of
from sut.base.errors import ConfigError, EngineError
from sut.base.onnx_file import check_file
from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from backends.base import EngineSpec, OptionValue, TensorSpec
    from backends.cuda.driver import Driver
    from backends.torch.model import LoadedModel

# The first call compiles and chooses algorithms; the second shows that nothing is left to do.
PREPARING_CALLS = 2
# Memory on failed devices.
LOST: list[object] = []


def open_engine(spec: EngineSpec) -> CudaEngine:
    """Load the model of `spec`, check it against what the benchmark feeds, and compile it.

    Raises:
        ConfigError: the package is missing, or a device or option does not exist or fit.
        EngineError: the file, or a model that does not fit; in one line, with what to do.
    """
    where, options = where_of(spec.device), options_of(spec.options, spec.device)
    sizes = read_sizes(options.graph_sizes, spec.max_batch_size, where)
    say_step("importing torch")
    torch = _import_torch()
    path = _model_path(spec)
    driver = _driver(torch, spec.device)
    driver.use()
    place = torch.device("cpu" if spec.device == "cpu" else f"cuda:{spec.device}")
    compiled = options.compiles(spec.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    # Trying every algorithm out takes half a second a batch size, for the same speed (ResNet-50).
    torch.backends.cudnn.benchmark = options.autotune
    keep_compiled()

    from backends.torch.compiler import import_ahead  # noqa: PLC0415 - it imports torch
    from backends.torch.model import Loading, load_model  # noqa: PLC0415

    boxes = _boxes(spec, options, where)
    say_step("loading the model")
    if compiled and not zipfile.is_zipfile(path):  # what torch itself saved imports or needs none
        import_ahead()
    if not (compiled or (place.type != "cpu" and options.cuda_graphs)):
        sizes = ()
    with DEVICES, _memory_told_apart(torch, where):
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(options.precision)
        loading = Loading(dtype, _first_rows(spec, sizes), boxes)
        model = load_model(path, spec, place, loading)
        kernel = TorchKernel(
            model,
            place,
            sizes=sizes,
            inductor=_inductor_options(options) if compiled else None,
        )
        return open_cuda_engine(driver, kernel, spec, options, f"{path}, device {spec.device}")


def _first_rows(spec: EngineSpec, sizes: Sequence[int]) -> int:
    """Return the rows of a first batch: two or more, of a size that runs later if there is one.

    cuDNN takes 2 s for the first batch of a size (EfficientNet-Lite0, H100), and nothing later.
    """
    return fitting(sizes, min(FIRST_ROWS, spec.max_batch_size))


def _boxes(spec: EngineSpec, options: Options, where: str) -> Any:
    """Return the module that chooses boxes on the device; None: the worker makes them."""
    pays = spec.device != "cpu" and bool(spec.postprocess)
    if options.postprocess == "worker" or (options.postprocess == "auto" and not pays):
        return None
    from backends.torch.boxes import Boxes, Head  # noqa: PLC0415 - it imports torch

    if not spec.postprocess:
        raise ConfigError(
            f'{where}: option "postprocess" is device, which this benchmark\'s postprocess cannot '
            "do; expected one of kind yolo without multi_label, objectness, softmax or background. "
            "Use postprocess=worker."
        )
    return Boxes(read_options(spec.postprocess, Head, where), options.candidates)


def _model_path(spec: EngineSpec) -> str:
    """Return the path of a file that may hold a model: torch's own are zip archives."""
    path = spec.model_path
    if path is not None and Path(path).is_file() and zipfile.is_zipfile(path):
        return path
    return check_file(path)


def _import_torch() -> ModuleType:
    try:
        import torch  # noqa: PLC0415 - slow to import, and only this backend needs it
    except ImportError as error:
        raise ConfigError(
            f'backend "torch" needs the package torch: {error}. Install it with pip install torch.'
        ) from error
    module: ModuleType = torch
    return module


def _driver(torch: ModuleType, device: str) -> Driver:
    if device == "cpu":
        return HostDriver()
    driver = open_driver(device)
    if not torch.cuda.is_available():
        raise EngineError(
            f"device {device}: torch {torch.__version__} cannot use it. Install a torch that is "
            "built for CUDA, or use --devices cpu."
        )
    return driver


def _inductor_options(options: Options) -> dict[str, bool]:
    return {"freezing": True, "max_autotune": options.autotune}


class TorchKernel:
    """A torch module behind fixed addresses. See backends.cuda.kernel.Kernel.

    Args:
        model: on its device.
        place: a torch.device.
        sizes: batch sizes; empty: every one.
        inductor: options of the compiler; None: the module runs as it is.
    """

    def __init__(
        self,
        model: LoadedModel,
        place: Any,
        *,
        sizes: Sequence[int],
        inductor: dict[str, bool] | None,
    ) -> None:
        import torch  # noqa: PLC0415 - found by open_engine

        self._torch = torch
        self._module: Any = model.module
        self._place, self._inductor = place, inductor
        self._on_gpu = place.type == "cuda"
        self.inputs, self.outputs = model.inputs, model.outputs
        self.sizes = sizes
        self.capturable = self._on_gpu
        self._functions: dict[int, Callable[..., Sequence[Any]]] = {}
        self._tensors: dict[tuple[int, int], Any] = {}
        self._streams: dict[int, Any] = {}
        # Memory of the graphs; all share it, because batches run in order.
        self._pool = torch.cuda.MemPool() if self._on_gpu else None
        self.facts: Mapping[str, OptionValue] = {
            "backend": "torch",
            "version": str(torch.__version__),
            "provider": "cuda" if self._on_gpu else "cpu",
            **(_libraries(torch) if self._on_gpu else {}),
            "precision": model.precision,
            "model_form": model.form,
            "compiled": "no" if inductor is None else "inductor, frozen",
            "postprocess": model.postprocess,
        }

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel."""
        for _ in range(PREPARING_CALLS):
            self.enqueue(batch_size, sources, targets, stream)
        if self._on_gpu:
            # A graph has memory of its own: what torch keeps of these calls would come on top.
            self._torch.cuda.empty_cache()

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """See Kernel."""
        with self._torch.no_grad(), self._scope(stream):
            batch = tuple(
                self._at(address, batch_size, tensor)
                for address, tensor in zip(sources, self.inputs, strict=True)
            )
            answers = self._function(batch_size, batch)(*batch)
            for answer, tensor, address in zip(answers, self.outputs, targets, strict=True):
                self._at(address, batch_size, tensor).copy_(answer)

    def memory_bytes(self) -> dict[str, int]:
        """See WeighedKernel. On a CPU, torch counts nothing."""
        tensors = (*self._module.parameters(), *self._module.buffers())
        found = {"weights": sum(tensor.numel() * tensor.element_size() for tensor in tensors)}
        if self._on_gpu:
            cuda = self._torch.cuda
            found["allocated_peak"] = cuda.max_memory_allocated(self._place)
            found["reserved_peak"] = cuda.max_memory_reserved(self._place)
        return found

    def close(self) -> None:
        """See Kernel. What torch keeps for the next model goes back to the device too."""
        held = (self._pool, self._module, self._functions)
        self._pool, self._module, self._functions = None, None, {}
        self._tensors.clear()
        if not self._on_gpu:
            return
        try:
            self._torch.cuda.synchronize(self._place)
        except RuntimeError:
            LOST.append(held)  # torch ends the process when it cannot free a pool
            return
        del held
        self._torch.cuda.empty_cache()

    def _function(self, size: int, batch: tuple[Any, ...]) -> Callable[..., Sequence[Any]]:
        function = self._functions.get(size)
        if function is None:
            function = self._functions[size] = self._made(batch)
        return function

    def _made(self, batch: tuple[Any, ...]) -> Callable[..., Sequence[Any]]:
        if self._inductor is None:
            module: Callable[..., Sequence[Any]] = self._module
            return module
        from backends.torch.compiler import compile_module, freeze  # noqa: PLC0415 - imports torch

        say_step(f"compiling {len(self._functions) + 1} of {len(self.sizes)}")
        if isinstance(self._module.model, self._torch.jit.ScriptModule):
            return freeze(self._module, batch)
        return compile_module(self._module, batch, self._inductor)

    def _scope(self, stream: int) -> contextlib.AbstractContextManager[object]:
        scope = contextlib.ExitStack()
        if self._on_gpu:
            cuda = self._torch.cuda
            found = self._streams.get(stream)
            if found is None:
                found = self._streams[stream] = cuda.ExternalStream(stream, self._place)
            scope.enter_context(cuda.stream(found))
            if cuda.is_current_stream_capturing():
                scope.enter_context(cuda.use_mem_pool(self._pool, self._place))
        return scope

    def _at(self, address: int, count: int, tensor: TensorSpec) -> Any:
        """Return the tensor at an address: always the same object."""
        found = self._tensors.get((address, count))
        if found is None:
            shape = (count, *tensor.sizes)
            found = self._tensors[address, count] = self._view(address, shape, tensor.dtype)
        return found

    def _view(self, address: int, shape: tuple[int, ...], dtype: str) -> Any:
        torch = self._torch
        if self._on_gpu:
            return torch.as_tensor(_Block(address, shape, dtype), device=self._place)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = memoryview((ctypes.c_uint8 * size).from_address(address))
        return torch.frombuffer(block, dtype=getattr(torch, dtype)).reshape(shape)


def _libraries(torch: ModuleType) -> dict[str, OptionValue]:
    """Return the versions of what torch computes with: they alone may explain a difference."""
    return {"cuda": str(torch.version.cuda), "cudnn": int(torch.backends.cudnn.version() or 0)}


class _Block:
    """Device memory for exchange between libraries: the CUDA array interface, version 3."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": np.dtype(dtype).str,
            "data": (address, False),
            "version": 3,
        }


@contextlib.contextmanager
def _memory_told_apart(torch: ModuleType, where: str) -> Any:
    """Raise torch's own error for a full device as ours."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        # torch goes on with all that it holds, and what it would do about it.
        line = str(error).splitlines()[0].partition(" Including ")[0]
        raise OutOfMemoryError(
            f"{where}: {line} Lower max_batch_size, slots or instances.", OUT_OF_MEMORY
        ) from error
