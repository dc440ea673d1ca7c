"""Makes an fp16 or int8 ONNX model from an fp32 one, with ONNX Runtime's own tools.

Precision lives in the graph: TensorRT 11 has no fp16 or int8 switch, and ONNX Runtime never had
one. Knows tensors and files; neither benchmarks nor where the samples come from.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sut.base.errors import DataError, EngineError
from sut.base.files import is_full
from sut.base.onnx_file import load_whole, precision_of
from sut.base.onnx_pixels import attach, detach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from onnx import ModelProto

    from backends.base import Array, Arrays
    from sut.base.onnx_pixels import Normalizing
    from sut.base.progress import Progress

# Since this opset, quantized and dequantized values may be float16 (ONNX, QuantizeLinear).
FP16_QDQ_OPSET = 19
# Precisions of a whole model, in requests for a plan.
BUILDABLE = ("fp32", "fp16", "int8")
# Names of onnxruntime.quantization.CalibrationMethod.
METHODS: Mapping[str, str] = {
    "minmax": "MinMax",
    "entropy": "Entropy",
    "percentile": "Percentile",
}


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a precision into a graph.

    Attributes:
        precision: "fp16" or "int8".
        calibrated: made with samples.
        purpose: who runs it, for people.
        options: of the onnxruntime backend, to compute exactly what the graph says.
    """

    precision: str
    calibrated: bool
    purpose: str
    options: Mapping[str, str]


# TensorRT takes symmetric int8 on both sides and no quantized bias; the CPU's int8 instructions
# multiply uint8 activations by int8 weights. So one file cannot serve both.
FORMS: Mapping[str, Form] = {
    "fp16": Form("fp16", calibrated=False, purpose="TensorRT, GPUs", options={}),
    "int8-trt": Form(
        "int8",
        calibrated=True,
        purpose="TensorRT: symmetric S8S8 with fp16 between",
        # ONNX Runtime 1.31 fuses Q/DQ nodes with float16 scales into wrong kernels.
        options={"graph_optimization": "disabled"},
    ),
    "int8-ort": Form("int8", calibrated=True, purpose="ONNX Runtime on CPUs: U8S8", options={}),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Samples for the ranges of activations.

    Attributes:
        count: samples.
        read: from 0 to count - 1 to the sample, [*input shape] by the input's name, in its dtype.
        method: a key of METHODS.
    """

    count: int
    read: Callable[[int], Arrays]
    method: str = "minmax"

    def of(self, normalizing: Normalizing | None) -> Calibration:
        """Return the same for a model that takes its samples normalised."""
        if normalizing is None:
            return self

        def read(index: int) -> Arrays:
            sample = self.read(index)
            return {**sample, normalizing.name: normalizing.of(sample[normalizing.name])}

        return replace(self, read=read)


def convert(
    source: Path,
    target: Path,
    form: str,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> None:
    """Write `source`, an fp32 ONNX model, to `target` in a form of FORMS.

    Inputs and outputs keep their names, shapes and dtypes, so the same benchmark fits.

    Args:
        source: the fp32 model.
        target: replaced.
        form: a key of FORMS.
        calibration: needed where the form is calibrated.
        progress: called while it is calibrated.

    Raises:
        EngineError: the model is not fp32, or the tools of ONNX Runtime refuse it.
    """
    found = graph_precision(source)
    if found != "fp32":
        raise EngineError(
            f"{source}: is {found} already; expected an fp32 model to make {form} of. "
            "Name the fp32 model, or use this one as it is with --model."
        )
    try:
        with _quiet(), _of_floats(source) as (plain, normalizing):
            if form == "fp16":
                _to_fp16(plain, target)
            else:
                assert calibration is not None, f"{form} is calibrated"
                _to_int8(plain, target, form, calibration.of(normalizing), progress)
            if normalizing is not None:
                _attach(target, normalizing)
    except (EngineError, DataError):
        raise
    except Exception as error:  # the tools raise whatever comes, without a common base
        if isinstance(error, OSError) and is_full(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EngineError(f"{source}: cannot be made {form}: {reason}") from error


def graph_precision(path: Path) -> str:
    """Return "int8" for a model with Q/DQ nodes, else the type of its weights, such as "fp16"."""
    import onnx  # noqa: PLC0415 - slow to import

    graph = onnx.load(str(path), load_external_data=False).graph
    if any(node.op_type in {"QuantizeLinear", "DequantizeLinear"} for node in graph.node):
        return "int8"
    return precision_of(str(path), "float32")


@contextlib.contextmanager
def _of_floats(source: Path) -> Iterator[tuple[Path, Normalizing | None]]:
    """Yield the model without the nodes that normalise pixels, which stay float32; and those."""
    model = load_whole(source)
    normalizing = detach(model)
    if normalizing is None:
        yield source, None
        return
    import onnx  # noqa: PLC0415 - slow to import

    with TemporaryDirectory(prefix="sut-pixels-") as folder:
        plain = Path(folder) / source.name
        onnx.save(model, str(plain))
        yield plain, normalizing


def _attach(path: Path, normalizing: Normalizing) -> None:
    import onnx  # noqa: PLC0415 - slow to import

    model = onnx.load(str(path))
    attach(model, normalizing)
    onnx.save(model, str(path))


def _to_fp16(source: Path, target: Path) -> None:
    import onnx  # noqa: PLC0415 - slow to import

    onnx.save(_half(load_whole(source)), str(target))


def _half(model: ModelProto) -> ModelProto:
    from onnxruntime.transformers import float16  # noqa: PLC0415 - slow to import
    from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: PLC0415 - slow to import

    half: ModelProto = float16.convert_float_to_float16(model, keep_io_types=True)
    # It adds casts at the end, wherever they belong; ONNX wants each node after those it reads.
    OnnxModel.graph_topological_sort(half.graph)
    return half


def _to_int8(
    source: Path, target: Path, form: str, calibration: Calibration, progress: Progress | None
) -> None:
    from onnxruntime import quantization  # noqa: PLC0415 - slow to import

    for_trt = form == "int8-trt"
    with TemporaryDirectory(prefix="sut-quantize-") as folder:
        prepared = _prepared(source, Path(folder), FP16_QDQ_OPSET if for_trt else 0)
        quantized = Path(folder) / "quantized.onnx"
        int8, uint8 = quantization.QuantType.QInt8, quantization.QuantType.QUInt8
        quantization.quantize_static(
            prepared,
            quantized if for_trt else target,
            _Reader(calibration, progress),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=int8 if for_trt else uint8,
            weight_type=int8,
            per_channel=True,
            calibrate_method=getattr(quantization.CalibrationMethod, METHODS[calibration.method]),
            extra_options={
                "ActivationSymmetric": for_trt,
                "WeightSymmetric": True,
                "QuantizeBias": not for_trt,
                # One sample at a time: the activations of 500 images do not fit into memory.
                "CalibStridedMinMax": 1,
            },
        )
        if for_trt:
            _to_fp16(quantized, target)


def _prepared(source: Path, folder: Path, opset: int) -> Path:
    """Return the model of at least this opset, with shapes inferred and constants folded.

    Folding takes batch normalization into the convolutions: quantized apart, both would be slower
    and less exact.
    """
    import onnx  # noqa: PLC0415 - slow to import
    from onnx import version_converter  # noqa: PLC0415 - slow to import
    from onnxruntime.quantization import shape_inference  # noqa: PLC0415 - slow to import

    model = load_whole(source)
    if max(entry.version for entry in model.opset_import if entry.domain == "") < opset:
        model = version_converter.convert_version(model, opset)
    # One file: the tools of ONNX Runtime follow no links to weights, such as in a hub's cache.
    source = folder / "whole.onnx"
    onnx.save(model, str(source))
    prepared = folder / "prepared.onnx"
    shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    return prepared


class _Reader:
    """The CalibrationDataReader of onnxruntime.quantization."""

    def __init__(self, calibration: Calibration, progress: Progress | None) -> None:
        self._calibration = calibration
        self._progress = progress
        self._next = 0
        self._end = calibration.count

    def __len__(self) -> int:
        return self._calibration.count

    def set_range(self, start_index: int, end_index: int) -> None:
        """Read these samples next."""
        self._next, self._end = start_index, end_index

    def get_next(self) -> dict[str, Array] | None:
        """Return the model's inputs for the next sample, a batch of one; None after the last."""
        if self._next == self._end:
            return None
        sample = self._calibration.read(self._next)
        self._next += 1
        if self._progress:
            self._progress(self._next, len(self))
        return {name: array[None] for name, array in sample.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the messages of the tools, which print and use the root logger."""
    root = logging.getLogger()
    handler, level = logging.NullHandler(), root.level
    root.addHandler(handler)  # without one, `logging.warning` would install its own permanently
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
