"""ONNX Runtime sessions: opened with a provider, checked against the benchmark, errors in one line.

Knows no batches: `backends.onnxruntime.engine` and `backends.onnxruntime.cuda_session` run them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from backends.base import TensorSpec
from backends.interface import FIRST_ROWS, check_answers, first_answers, fit_inputs, order_outputs
from sut.base.environment import physical_cores
from sut.base.errors import BatchTooLarge, ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from onnxruntime import InferenceSession, NodeArg, SessionOptions

    from backends.base import EngineSpec

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# Highest severity of the logger: our errors repeat the useful part of ONNX Runtime's messages.
FATAL_ONLY = 4

# Names of onnxruntime.GraphOptimizationLevel.
LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}

# Names of onnxruntime.ExecutionMode.
MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}

# Each NodeArg.type: NumPy's name. Types that NumPy lacks are missing on purpose.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
} | {
    f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

# A part of ONNX Runtime's message, and what to do about it.
REMEDIES = (
    (
        "Protobuf parsing failed",
        "It is not an ONNX model, or is incomplete: export or copy it again.",
    ),
    ("No graph was found", "It is not an ONNX model, or is incomplete: export or copy it again."),
    ("IR version", "Install a newer onnxruntime, or export the model with an older onnx."),
    ("Opset", "Install a newer onnxruntime, or export the model with a lower opset."),
    (
        "No Op registered",
        "Export the model with operators of its opset, or install a newer onnxruntime.",
    ),
    ("not a registered function/op", "Export the model with the standard operators of ONNX only."),
    (
        "External data",
        "Put the file with the weights beside the model, under the name it was saved.",
    ),
)

# How it reports full memory, on a CPU (its own arena, C++) and on a GPU (CUDA, cuDNN).
FULL = re.compile(r"failed to allocate|bad_alloc|out of memory|ALLOC_FAILED", re.IGNORECASE)

# Its status code, the file that our message already names, and places in its own source.
NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|Load model from .*? failed:"
    r"|/onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z])"
    r"|\b\w+\.(?:cc|h):\d+ (?:operator\(\) )?"
)

Threads = Annotated[int, Meta(ge=1, le=1024)]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the onnxruntime backend; each is a setting of ONNX Runtime's SessionOptions.

    Attributes:
        intra_op_threads: threads inside one operator; None is one a physical core of those that
            the engine may use.
        inter_op_threads: threads across operators, in execution mode "parallel" only.
        graph_optimization: how far the graph is rewritten when the model is loaded.
        execution_mode: "parallel" runs branches of the graph side by side.
        allow_spinning: idle threads burn their core for lower latency. Switch it off where more
            threads than cores are busy.
        arena: keep freed memory for the next batch.
    """

    intra_op_threads: Threads | None = None
    inter_op_threads: Threads | None = None
    graph_optimization: Literal["all", "extended", "basic", "disabled"] = "all"
    execution_mode: Literal["sequential", "parallel"] = "sequential"
    allow_spinning: bool = True
    arena: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model that takes what the benchmark feeds.

    Attributes:
        path: of its file, as the user wrote it.
        session: ONNX Runtime's.
        inputs: in the order of the benchmark.
        outputs: in the order in which `infer` returns them.
    """

    path: str
    session: InferenceSession
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def fit_session(session: InferenceSession, spec: EngineSpec, path: str) -> Model:
    """Check what a session takes and gives against what the benchmark feeds and reads.

    Raises:
        EngineError: they do not fit; in one line that names `path` and what to do.
    """
    inputs = fit_inputs(_declared(session.get_inputs(), path), spec, path)
    return Model(path, session, inputs, _outputs_of(session, inputs, spec, path))


def providers(device: str) -> list[tuple[str, dict[str, str]]]:
    """Return ONNX Runtime's execution providers for a device, the wanted one first.

    Raises:
        ConfigError: `device` is neither "cpu" nor the index of a GPU.
    """
    if device == "cpu":
        return [(CPU, {})]
    if device.isdecimal():
        return [(CUDA, {"device_id": device}), (CPU, {})]
    raise ConfigError(
        f'onnxruntime backend: device "{device}" does not exist; expected "cpu" or the index of a '
        'GPU, such as "0".'
    )


def import_runtime() -> ModuleType:
    """Import ONNX Runtime, or raise ConfigError."""
    try:
        import onnxruntime  # noqa: PLC0415 - slow to import, and only this backend needs it
    except ImportError as error:
        raise ConfigError(
            f'backend "onnxruntime" needs the package onnxruntime: {error}. Install it with '
            "pip install onnxruntime, or onnxruntime-gpu for NVIDIA GPUs."
        ) from error
    return onnxruntime  # type: ignore[no-any-return]  # the package has no types


def check_provider(runtime: ModuleType, device: str, provider: str) -> None:
    """Raise EngineError unless ONNX Runtime has `provider`: it would fall back to the CPU."""
    available = runtime.get_available_providers()
    if provider not in available:
        raise EngineError(
            f"device {device}: onnxruntime {runtime.__version__} has no {provider}, only "
            f"{', '.join(available)}. Install onnxruntime-gpu in place of onnxruntime, or use "
            "device cpu."
        )


def with_threads(options: Options, cores: int | None) -> Options:
    """Return the options with a number of threads: one a physical core, if none is set.

    ONNX Runtime's own choice counts the cores of the machine and binds a thread to each, also to
    cores that this process may not use. With a number, its threads inherit the allowed ones.

    Args:
        options: of the user.
        cores: see EngineSpec.
    """
    threads = options.intra_op_threads or cores or physical_cores()
    return replace(
        options,
        intra_op_threads=threads,
        inter_op_threads=options.inter_op_threads or threads,
    )


def session_options(runtime: ModuleType, options: Options) -> SessionOptions:
    """Return ONNX Runtime's own options for ours."""
    options = with_threads(options, None)
    assert options.intra_op_threads, "with_threads sets both"
    assert options.inter_op_threads, "with_threads sets both"
    settings = runtime.SessionOptions()
    settings.log_severity_level = FATAL_ONLY
    settings.intra_op_num_threads = options.intra_op_threads
    settings.inter_op_num_threads = options.inter_op_threads
    settings.graph_optimization_level = getattr(
        runtime.GraphOptimizationLevel, LEVELS[options.graph_optimization]
    )
    settings.execution_mode = getattr(runtime.ExecutionMode, MODES[options.execution_mode])
    settings.enable_cpu_mem_arena = options.arena
    for kind in ("intra", "inter"):
        settings.add_session_config_entry(
            f"session.{kind}_op.allow_spinning", str(int(options.allow_spinning))
        )
    return settings


def open_session(
    runtime: ModuleType, path: str, options: Options, wanted: list[tuple[str, dict[str, str]]]
) -> InferenceSession:
    """Open a session with the execution providers in `wanted`, the one that must run it first.

    Raises:
        EngineError: it cannot be loaded, or the provider did not start.
    """
    settings = session_options(runtime, options)
    try:
        session = runtime.InferenceSession(path, settings, providers=wanted, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no other base
        raise EngineError(
            f"{path}: onnxruntime {runtime.__version__} cannot load it: {_reason(error)}"
        ) from error
    provider = wanted[0][0]
    if provider not in session.get_providers():
        raise EngineError(
            f"{path}: {provider} did not start, so ONNX Runtime would run the model on the CPU. "
            "Check the driver and the CUDA libraries that it needs, or use device cpu."
        )
    return session


def _declared(nodes: Sequence[NodeArg], where: str) -> list[TensorSpec]:
    """Return tensors as the model declares them, batch axis first."""
    try:
        return [_tensor(node, where) for node in nodes]
    except UnicodeDecodeError as error:
        raise EngineError(
            f"{where}: a name in the model is not UTF-8, so the file is damaged. "
            "Export or copy it again."
        ) from error


def _tensor(node: NodeArg, where: str) -> TensorSpec:
    dtype = DTYPES.get(node.type)
    if dtype is None:
        raise EngineError(
            f'{where}: "{node.name}" is {node.type}; expected a tensor of a type that NumPy has. '
            "Export the model without it, or with a Cast to float."
        )
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, shape, dtype)


def _outputs_of(
    session: InferenceSession, inputs: Sequence[TensorSpec], spec: EngineSpec, where: str
) -> tuple[TensorSpec, ...]:
    """Return the outputs after one batch of zeros."""
    ordered = order_outputs(_declared(session.get_outputs(), where), spec.output_name, where)
    names = [output.name for output in ordered]

    def run(count: int) -> tuple[TensorSpec, ...]:
        zeros = {tensor.name: np.zeros((count, *tensor.sizes), tensor.dtype) for tensor in inputs}
        try:
            answers = session.run(names, zeros)
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            raise EngineError(
                f"{where}: a first batch of {count} rows of zeros failed: {_reason(error)} If a "
                "batch of 1 works, the batch size is part of the graph: export it with an open "
                "batch axis."
            ) from error
        return check_answers(ordered, answers, count, where)

    return first_answers(run, min(FIRST_ROWS, spec.max_batch_size))


def failed_batch(count: int, error: Exception, where: str) -> EngineError:
    """Return the error for a failed batch: BatchTooLarge if memory is full."""
    kind = BatchTooLarge if FULL.search(str(error)) else EngineError
    return kind(f"{where}: a batch of {count} failed: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the useful part of ONNX Runtime's message, in one line, with the remedy if known."""
    text = NOISE.sub("", " ".join(str(error).split())).strip().rstrip(".")
    remedy = next((remedy for part, remedy in REMEDIES if part in text), "")
    return f"{text}. {remedy}".rstrip()
