"""The contract of a backend: load a model, bind the loaded samples, run a batch of their rows.

Knows tensors only. It never sees a response id, a query, a scenario or LoadGen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from sut.base.errors import ConfigError, EngineError, nearest

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.generic]
    # One array for each input of a model, by the input's name; row k of each belongs to sample k.
    Arrays: TypeAlias = Mapping[str, Array]

# Each backend's name and the module with its `open_engine` and `options_of`. A new backend is one
# line here, one folder beside this file, and one fixture in the conformance suite.
BACKENDS: Mapping[str, str] = {
    "onnxruntime": "backends.onnxruntime.engine",
    "null": "backends.null.engine",
    "simulated": "backends.simulated.engine",
    "tensorrt": "backends.tensorrt.engine",
    "torch": "backends.torch.engine",
    "triton": "backends.triton.engine",
}

# Backends that prepare every batch size that they run on a GPU: to compile it takes seconds.
PREPARES_SIZES = frozenset({"tensorrt", "torch"})

# Backends whose libraries may be imported in a process that forks afterwards, and the module with
# the `load_libraries` that does so: it touches no device and starts no thread.
FORKABLE: Mapping[str, str] = {"torch": "backends.torch.libraries"}

# Backends that need neither a model file nor samples.
WITHOUT_MODEL = frozenset({"null", "simulated"})

# Backends whose model lies on another machine: they need samples, but no model file.
REMOTE = frozenset({"triton"})

OptionValue: TypeAlias = "str | int | float | bool"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor without its batch axis.

    Attributes:
        name: as the model spells it.
        shape: sizes after the batch axis; None where the model leaves an axis open.
        dtype: NumPy's name, such as "float32".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape with 1 for an axis that the model leaves open."""
        return tuple(size or 1 for size in self.shape)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All that is needed to open an engine, as plain picklable data for worker processes.

    Attributes:
        backend: a key of BACKENDS.
        model_path: the model or engine file; None for a backend that needs none.
        inputs: what the benchmark feeds, in the order in which a model without names takes them.
        output_name: the output to return first; None for the model's own order.
        max_batch_size: the largest batch for `infer`.
        device: "cpu", "0" (a GPU index), or another name that the backend understands.
        options: backend options by name, such as {"intra_op_threads": 1}; unknown ones are refused.
        slots: batches that an asynchronous engine keeps in flight.
        cores: CPU cores that are meant for this engine, because others share the rest; None: all
            that the calling thread may use.
        model_sha256: the identity of the model, so that an engine that is kept open is not taken
            for one of other weights at the same path; None where nobody keeps it.
        postprocess: what the benchmark makes of the outputs, for a backend that can do so on its
            device; empty: only the worker can.
    """

    backend: str
    model_path: str | None
    inputs: tuple[TensorSpec, ...]
    output_name: str | None
    max_batch_size: int
    device: str = "cpu"
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    slots: int = 1
    cores: int | None = None
    model_sha256: str | None = None
    postprocess: Mapping[str, OptionValue] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """A model on one device. One thread at a time may use an engine; two engines share nothing.

    Attributes:
        inputs: the model's inputs, in the order of the spec.
        outputs: the model's outputs, in the order in which `infer` returns them.
        max_batch_size: `infer` refuses more rows than this.
        sizes: batch sizes that it really runs, ascending, the last one `max_batch_size`: a batch
            takes the time of the next one up. Empty: it runs every size.
        facts: plain values for the result: version, provider, precision, "simulated": bool.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    sizes: tuple[int, ...]
    facts: Mapping[str, OptionValue]

    def bind(self, samples: Arrays) -> None:
        """Use `samples` from now on: one array an input, [N, *input shape], C-contiguous.

        The arrays are borrowed until the next `bind` or `close`. Called outside the timed region.

        Raises:
            EngineError: an input without an array or an array without an input, or a number of
                rows, a shape or a dtype that does not fit; those bound before stay.
        """

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """Run rows `rows` of the bound samples as one batch, in that order.

        Returns:
            One array an output, each [len(rows), ...]; row k answers rows[k]. They may be reused by
            the next call: copy what must live longer.

        Raises:
            EngineError: no rows, more than `max_batch_size`, a row out of range, or nothing bound.
        """

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """Run one batch of samples that are not bound: parts of a video's frames, or requests.

        It uses the buffers that `infer` uses and needs no `bind`; bound samples stay bound. On a
        GPU it takes longer than `infer`: the calling thread copies the batch to pinned memory.

        Args:
            arrays: one array an input, [n, *input shape] with n of 1 to `max_batch_size`, with or
                without gaps. They are the caller's again when this returns.

        Returns:
            As `infer`; row k answers row k of the arrays.

        Raises:
            EngineError: as `bind`; no rows, or more than `max_batch_size`.
        """

    def close(self) -> None:
        """Free the engine. Closing twice is allowed; using it afterwards raises EngineError."""


@runtime_checkable
class AsyncEngine(Engine, Protocol):
    """An engine that has several batches in flight on its device, one in each slot.

    One thread launches while another waits. Every other method of `Engine` needs all slots free.
    `infer` and `infer_arrays` are a launch and a wait on slot 0.

    Attributes:
        slots: batches that may be in flight.
    """

    slots: int

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        """Start a batch of `rows` in a free slot; returns at once. The launching thread calls it.

        Raises:
            EngineError: as `infer`, or the slot does not exist or still holds a batch.
        """

    def launch_arrays(self, slot: int, arrays: Arrays) -> None:
        """Start a batch that is not bound, as `launch`; batches are computed in launch order.

        The arrays are copied before it returns.

        Raises:
            EngineError: as `infer_arrays`, or the slot does not exist or still holds a batch.
        """

    def wait(self, slot: int) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """Block until the batch in `slot` is done. The completing thread calls it, in launch order.

        Returns:
            What `infer` returns, valid until the slot's next launch, and when the device itself
            (started, finished) the batch, in ns of `time.monotonic_ns`.

        Raises:
            EngineError: nothing was launched in the slot.
        """


class SampleMemory(Protocol):
    """Memory that an engine can use samples from as they are: what is read into it is not copied.

    Any thread may call it.
    """

    @property
    def near(self) -> Hashable:
        """What the memory is near to; engines of a process with equal values share a block."""

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """Return a new block to read samples into, and to bind: C-contiguous, not initialized.

        Raises:
            SutError: there is no room.
        """

    def free(self, block: Array) -> None:
        """Give a block back; the engines that it is bound to keep it until they let go."""


@runtime_checkable
class MemoryEngine(Engine, Protocol):
    """An engine with memory of its own kind for the samples. `bind` takes any array all the same.

    Attributes:
        memory: where it wants the samples.
    """

    memory: SampleMemory


@runtime_checkable
class CountingEngine(Engine, Protocol):
    """An engine that counts what its batches were made of. Every slot is free during its calls."""

    def count_anew(self) -> None:
        """Forget what was counted."""

    def counted(self) -> Mapping[str, float]:
        """Return counts, and sums of times in ns, by name; those of several engines are added."""


@runtime_checkable
class WeighedEngine(Engine, Protocol):
    """An engine on a device with memory of its own, that says how much of it is used."""

    def memory_bytes(self) -> Mapping[str, int]:
        """Return what is known now, in bytes, by name; what a backend does not know is absent.

        "device_free": of all processes, on the device. "weights" and "activations": of the model.
        "allocated_peak" and "reserved_peak": of the library's allocator. Not in the timed region.
        """


class OpenEngine(Protocol):
    """`open_engine` of a backend module."""

    def __call__(self, spec: EngineSpec) -> Engine:
        """Open `spec`; raise EngineError in one line that names the file and what to do."""


def open_engine(spec: EngineSpec) -> Engine:
    """Import the backend that `spec` names and open its engine.

    Raises:
        ConfigError: no such backend, or its package is not installed.
        EngineError: from the backend.
    """
    open_: OpenEngine = _module_of(spec.backend).open_engine
    return open_(spec)


def load_libraries(backend: str, options: Mapping[str, OptionValue], device: str) -> None:
    """Import what an engine of one of FORKABLE imports when it opens. Opens none.

    Raises:
        ImportError: one is not installed.
        ConfigError: see check_options.
    """
    import_module(FORKABLE[backend]).load_libraries(options, device)


def optional_libraries(
    backend: str, options: Mapping[str, OptionValue], device: str
) -> tuple[str, ...]:
    """Return what else such an engine imports later: it may start threads, or touch a device.

    Raises:
        ConfigError: see check_options.
    """
    found: tuple[str, ...] = import_module(FORKABLE[backend]).optional_libraries(options, device)
    return found


def check_options(backend: str, options: Mapping[str, OptionValue], device: str) -> None:
    """Check the options of an engine without opening one; imports no inference library.

    Raises:
        ConfigError: no such backend or option, or a value does not fit the option's type.
    """
    _module_of(backend).options_of(options, device)


def _module_of(backend: str) -> ModuleType:
    module_name = BACKENDS.get(backend)
    if module_name is None:
        known = ", ".join(sorted(BACKENDS))
        raise ConfigError(
            f'backend "{backend}" does not exist; known are {known}.{nearest(backend, BACKENDS)}'
        )
    return import_module(module_name)


def check_rows(rows: Sequence[int], bound: int, max_batch_size: int, where: str) -> None:
    """Raise EngineError unless `rows` can be one batch of `bound` samples."""
    if not 0 < len(rows) <= max_batch_size:
        raise EngineError(
            f"{where}: a batch of {len(rows)} rows; expected 1 to max_batch_size {max_batch_size}."
        )
    if min(rows) < 0 or max(rows) >= bound:
        raise EngineError(
            f"{where}: rows {min(rows)}..{max(rows)} requested, but {bound} samples are bound."
        )


def describe(shape: Sequence[int | str | None], dtype: str) -> str:
    """Return a tensor's shape and dtype as messages write it: `[N, 3, ?, ?] float32`."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}] {dtype}"
