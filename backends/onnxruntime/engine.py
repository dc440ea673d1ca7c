"""Runs ONNX models with ONNX Runtime, on the CPU or one CUDA device.

Knows tensors only: neither response ids nor scenarios nor LoadGen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backends.arrays import check_arrays, check_samples
from backends.base import check_rows
from backends.interface import main_dtype
from backends.onnxruntime.session import (
    CPU,
    Options,
    failed_batch,
    fit_session,
    import_runtime,
    open_session,
    providers,
    with_threads,
)
from backends.options import read_options
from backends.rows import gather
from sut.base.errors import EngineError
from sut.base.onnx_file import check_file, precision_of
from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnxruntime import InferenceSession

    from backends.base import Array, Arrays, Engine, EngineSpec, OptionValue
    from backends.onnxruntime.session import Model


_WHERE = "onnxruntime backend"


class OnnxRuntimeEngine:
    """A model in an ONNX Runtime session. `infer` is all that runs in the timed region.

    It calls `InferenceSession.run`: I/O binding saves less than 1 us a call where other rows are
    bound for every batch, too little for the buffers that it asks for.
    """

    def __init__(self, model: Model, max_batch_size: int, facts: Mapping[str, OptionValue]) -> None:
        self.inputs = model.inputs
        self.outputs = model.outputs
        self.max_batch_size = max_batch_size
        self.sizes: tuple[int, ...] = ()
        self.facts: Mapping[str, OptionValue] = facts
        self._where = model.path
        self._session: InferenceSession | None = model.session
        self._input_names = [tensor.name for tensor in model.inputs]
        self._output_names = [output.name for output in model.outputs]
        self._bound = 0
        # Of each input: its name, the samples, and room for a batch of them.
        self._parts: list[tuple[str, Array, Array]] = []
        self._staging: tuple[Array, ...] = ()

    def bind(self, samples: Arrays) -> None:
        """See `Engine.bind`."""
        if self._session is None:
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")
        fitting = check_samples(samples, self.inputs, self._where)
        if not self._staging:
            # Fill it, so that the first batches do not wait for the system to map its pages.
            self._staging = tuple(
                np.full((self.max_batch_size, *array.shape[1:]), 0, array.dtype)
                for array in fitting
            )
        self._parts = list(zip(self._input_names, fitting, self._staging, strict=True))
        self._bound = len(fitting[0])

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`. The arrays are new in every call."""
        session = self._session
        if not self._bound or session is None:
            state = "without samples. Call bind first" if session else "closed. Open a new one"
            raise EngineError(f"{self._where}: the engine is {state}.")
        check_rows(rows, self._bound, self.max_batch_size, self._where)
        fed: dict[str, Array] = {}
        for name, array, staging in self._parts:  # a comprehension takes longer for one input
            fed[name] = gather(array, rows, staging)
        try:
            return tuple(session.run(self._output_names, fed))
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            raise failed_batch(len(rows), error, self._where) from error

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See `Engine.infer_arrays`. ONNX Runtime reads the arrays where they lie."""
        if self._session is None:
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")
        batch = check_arrays(arrays, self.inputs, self.max_batch_size, self._where)
        fed = dict(zip(self._input_names, batch, strict=True))
        try:
            return tuple(self._session.run(self._output_names, fed))
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            raise failed_batch(len(batch[0]), error, self._where) from error

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None
        self._parts, self._staging = [], ()
        self._bound = 0


def options_of(options: Mapping[str, OptionValue], device: str) -> object:
    """Return the options, checked: see backends.base.check_options."""
    if device == "cpu":
        return read_options(options, Options, _WHERE)
    from backends.onnxruntime.cuda_session import options_on_gpu  # noqa: PLC0415 - as below

    return options_on_gpu(options, device)


def open_engine(spec: EngineSpec) -> Engine:
    """Load the model of `spec`, check it against what the benchmark feeds, and run it once.

    Raises:
        ConfigError: the package is missing, or a device or option does not exist or fit.
        EngineError: the file, or a model that does not fit; in one line, with what to do.
    """
    wanted = providers(spec.device)
    if spec.device != "cpu":
        from backends.onnxruntime.cuda_session import open_on_gpu  # noqa: PLC0415 - it needs this module

        return open_on_gpu(spec)
    options = with_threads(read_options(spec.options, Options, _WHERE), spec.cores)
    runtime = import_runtime()
    path = check_file(spec.model_path)
    say_step("loading the model")
    session = open_session(runtime, path, options, wanted)
    model = fit_session(session, spec, path)
    facts: dict[str, OptionValue] = {
        "backend": "onnxruntime",
        "version": runtime.__version__,
        "provider": CPU,
        "precision": precision_of(path, main_dtype(model.inputs)),
        "intra_op_threads": options.intra_op_threads or 0,
        "batch_axis": "fixed" if isinstance(session.get_inputs()[0].shape[0], int) else "open",
        "simulated": False,
    }
    return OnnxRuntimeEngine(model, spec.max_batch_size, facts)
