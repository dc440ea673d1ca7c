"""ONNX to plan: strongly typed, with optimization profiles; a plan that was built before is used.

The key of a plan holds everything that decides its content: the model's hash, TensorRT and its
version, the GPU architecture, the profiles and the builder's settings.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backends.base import TensorSpec, describe
from backends.interface import fit_inputs
from backends.tensorrt.inspection import check_precision, main_precision, network_types
from backends.tensorrt.log import make_log, reason, refusal
from backends.tensorrt.plan import Note, Plan, read_plan, save_plan
from backends.tensorrt.profiles import Profile
from backends.tensorrt.progress import make_monitor
from backends.tensorrt.timing import TimingCache
from sut.base.errors import ConfigError, EngineError
from sut.base.files import cache_folder, writing_to
from sut.base.onnx_file import model_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.base import EngineSpec
    from backends.tensorrt.library import Library
    from sut.base.progress import Progress

log = logging.getLogger(__name__)

# Raise it whenever the same request becomes another plan.
RECIPE = 1
LEVELS = range(6)
DEFAULT_LEVEL = 3

# TensorRT's DataType to NumPy's name; the types that NumPy lacks are missing on purpose.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build.

    Attributes:
        spec: the ONNX file, what the benchmark feeds, the output to return first.
        sm: the GPU architecture, such as 89.
        profiles: batch sizes; those of a model with a fixed batch axis are ignored.
        precision: that the engine must have; None: whatever the model has.
        builder_level: 0, fast to build, to 5, which tries the most tactics.
        workspace_mib: the most scratch memory that a layer may use; None: all that the GPU has.
        tf32: let float32 be multiplied with 10 bits of mantissa.
        folder: where plans are kept.
    """

    spec: EngineSpec
    sm: int
    profiles: tuple[Profile, ...]
    precision: str | None = None
    builder_level: int = DEFAULT_LEVEL
    workspace_mib: int | None = None
    tf32: bool = False
    folder: Path = field(default_factory=lambda: cache_folder() / "plans")

    @property
    def model(self) -> str:
        """The path of the ONNX file."""
        assert self.spec.model_path is not None, "a build has a model"
        return self.spec.model_path


def plan_path(request: BuildRequest, library: Library) -> Path:
    """Return where the plan of a request lies, whether it was built or not."""
    parts = msgspec.json.encode(
        (
            RECIPE,
            model_sha256(Path(request.model)),
            library.name,
            library.version,
            request.sm,
            [str(profile) for profile in request.profiles],
            [(tensor.name, tensor.shape) for tensor in request.spec.inputs],
            request.builder_level,
            request.workspace_mib,
            *(("tf32",) if request.tf32 else ()),
        )
    )
    stem = request.model.rpartition("/")[2].removesuffix(".onnx")
    key = hashlib.sha256(parts).hexdigest()[:16]
    return request.folder / f"{stem}-sm{request.sm}-{key}.plan"


def make_plan(request: BuildRequest, library: Library, progress: Progress | None = None) -> Plan:
    """Return the plan of a request: the one that is kept, or a new one.

    Raises:
        ConfigError: the library cannot build for that GPU, an option is out of range, or the plan
            cannot be kept.
        EngineError: the model does not fit, TensorRT refuses it, or it has another precision.
    """
    _check_request(request, library)
    path = plan_path(request, library)
    with writing_to(path.parent), _lock(path):
        plan = _kept(path, library)
        if plan is None:
            plan = _build(request, library, path, progress)
    note = plan.note
    assert note is not None, "a plan that was built here has a note"
    if request.precision:
        check_precision(note.layers, request.precision, request.model, note.precision_from)
    return plan


def _check_request(request: BuildRequest, library: Library) -> None:
    if request.builder_level not in LEVELS:
        raise ConfigError(
            f"builder level {request.builder_level}: expected {LEVELS[0]} to {LEVELS[-1]}."
        )
    known = library.targets()
    if library.is_rtx and request.sm not in known:
        raise ConfigError(
            f"SM {request.sm}: {library} cannot build for it; it knows "
            f"{', '.join(map(str, known))}. Use one of those, or install tensorrt on a machine "
            "with such a GPU."
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process build a plan; the others wait for it, then find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.stem}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _kept(path: Path, library: Library) -> Plan | None:
    if not path.exists():
        return None
    try:
        plan = read_plan(path, library)
    except EngineError as error:
        log.warning("%s It is built again.", error)
        return None
    return plan if plan.note is not None else None


def _build(request: BuildRequest, library: Library, path: Path, progress: Progress | None) -> Plan:
    log.info("building %s with %s", path, library)
    started_s = time.monotonic()
    build = _Build(request, library)
    build.parse()
    if request.precision:
        check_precision(build.layers, request.precision, request.model, "typed network")
    content = build.serialize(progress)
    note = Note(
        library=library.name,
        version=library.version,
        sm=request.sm,
        model=request.model.rpartition("/")[2],
        model_sha256=model_sha256(Path(request.model)),
        inputs=build.inputs,
        profiles=build.profiles,
        builder_level=request.builder_level,
        workspace_mib=request.workspace_mib,
        precision=main_precision(build.layers),
        precision_from="typed network",
        layers=build.layers,
        build_s=round(time.monotonic() - started_s, 3),
        plan_sha256=hashlib.sha256(content).hexdigest(),
        plan_bytes=len(content),
    )
    return save_plan(path, content, note)


class _Build:
    """One build: TensorRT's builder, network and configuration, which must live together.

    Attributes:
        layers: computing layers by precision, after `parse`.
        inputs: the model's, after `parse`.
        profiles: batch sizes, after `parse`.
    """

    def __init__(self, request: BuildRequest, library: Library) -> None:
        self._request = request
        self._library = library
        self._trt = library.module
        self._monitor: Any = None
        self._log = make_log(library)
        self._builder = self._trt.Builder(self._log)
        typed = self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        self._network = self._builder.create_network(1 << int(typed))
        self.layers: dict[str, int] = {}
        self.inputs = request.spec.inputs
        self.profiles = request.profiles

    def parse(self) -> None:
        """Read the ONNX file and check its inputs against what the benchmark feeds."""
        model = self._request.model
        parser = self._trt.OnnxParser(self._network, self._log)
        if not parser.parse_from_file(model):
            errors = [_parser_error(parser.get_error(k)) for k in range(parser.num_errors)]
            raise EngineError(
                f"{model}: {self._library} cannot read it: {reason(errors or self._log.errors)}"
            )
        declared = [_input(self._network, k, model) for k in range(self._network.num_inputs)]
        self.inputs = fit_inputs(declared, self._request.spec, model)
        fixed = [tensor.shape[0] for tensor in declared if tensor.shape[0] is not None]
        if fixed:
            self.profiles = (Profile(*fixed[:1] * 3),)
        self.layers = network_types(self._network)

    def serialize(self, progress: Progress | None) -> bytes:
        """Return the plan."""
        config = self._configure(progress)
        cache = TimingCache(self._request.folder, self._request.sm, self._library)
        cache.load(config)
        content = self._builder.build_serialized_network(self._network, config)
        if self._monitor is not None and self._monitor.stopped is not None:
            raise self._monitor.stopped
        if content is None:
            what = f"{self._library} cannot build it for SM {self._request.sm}"
            raise refusal(f"{self._request.model}: {what}", self._log.errors)
        cache.save(config)
        return bytes(content)

    def _configure(self, progress: Progress | None) -> Any:
        trt, request = self._trt, self._request
        config = self._builder.create_builder_config()
        config.builder_optimization_level = request.builder_level
        # What the engine inspector is to show later.
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if not request.tf32:  # what is called fp32 computes in fp32: TF32 keeps 10 of its 23 bits
            config.clear_flag(trt.BuilderFlag.TF32)
        if request.workspace_mib is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace_mib << 20)
        if progress:
            self._monitor = config.progress_monitor = make_monitor(self._library, progress)
        if self._library.is_rtx:
            config.num_compute_capabilities = 1
            target = getattr(trt.ComputeCapability, f"SM{request.sm}")
            config.set_compute_capability(target, 0)
        network = self._network
        if any(network.get_input(k).shape[0] < 0 for k in range(network.num_inputs)):
            self._add_profiles(config)
        return config

    def _add_profiles(self, config: Any) -> None:
        for sizes in self.profiles:
            profile = self._builder.create_optimization_profile()
            for tensor in self.inputs:
                shapes = [(size, *tensor.shape) for size in (sizes.min, sizes.opt, sizes.max)]
                profile.set_shape(tensor.name, *shapes)
            config.add_optimization_profile(profile)


def tensor_spec(name: str, shape: Sequence[int], dtype: Any, where: str) -> TensorSpec:
    """Return one of TensorRT's tensors, batch axis first; -1 is an axis left open.

    Raises:
        EngineError: it has a type that NumPy lacks.
    """
    sizes = tuple(None if size < 0 else int(size) for size in shape)
    known = DTYPES.get(dtype.name)
    if known is None:
        raise EngineError(
            f'{where}: "{name}" is {describe(sizes, dtype.name)}; expected a type that NumPy has. '
            "Export the model with float32 inputs and outputs."
        )
    return TensorSpec(name, sizes, known)


def _input(network: Any, index: int, where: str) -> TensorSpec:
    tensor = network.get_input(index)
    return tensor_spec(tensor.name, tensor.shape, tensor.dtype, where)


def _parser_error(error: Any) -> str:
    node = f" (node {error.node_name()})" if error.node_name() else ""
    return f"{error.node_operator()}{node}: {error.desc()}"
