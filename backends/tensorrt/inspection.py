"""The precision of an engine, from the engine itself or from the typed network.

A strongly typed network computes in the types of its tensors, so its layers prove the precision
if no engine can be opened. Only layers that multiply matrices count, because they take the time.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from backends.layers import Layer
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Names of TensorRT's DataType, to the word for a precision.
TYPES: Mapping[str, str] = {
    "FLOAT": "fp32",
    "HALF": "fp16",
    "BF16": "bf16",
    "INT8": "int8",
    "FP8": "fp8",
    "INT4": "int4",
    "FP4": "fp4",
}
# Names of TensorRT's LayerType.
COMPUTING = frozenset({"CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM", "ATTENTION"})
# The engine inspector's LayerType: "CaskConvolution", "CaskGemmConvolution", "gemm", and so on.
COMPUTING_IN_ENGINE = re.compile("conv|gemm|matmul|matrixmultiply|attention|mha", re.IGNORECASE)
# The engine inspector's "Metadata" of a layer that was fused from several nodes:
# "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]".
ONNX_NODES = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
# The engine inspector's "Format/Datatype": "Half", "Channel major FP16 format where channel % 8 ==
# 0", "Thirty-two wide channel vectorized row major Int8 format", and so on.
FORMATS = (
    (re.compile(r"int8", re.IGNORECASE), "int8"),
    (re.compile(r"fp8", re.IGNORECASE), "fp8"),
    (re.compile(r"bf16|bfloat", re.IGNORECASE), "bf16"),
    (re.compile(r"fp16|half", re.IGNORECASE), "fp16"),
    (re.compile(r"fp32|float", re.IGNORECASE), "fp32"),
)


def network_types(network: Any) -> dict[str, int]:
    """Return how many computing layers of a strongly typed network there are by precision."""
    layers = [network.get_layer(k) for k in range(network.num_layers)]
    makers = {layer.get_output(k).name: layer for layer in layers for k in range(layer.num_outputs)}
    found = Counter(_input_type(layer, makers) for layer in layers if layer.type.name in COMPUTING)
    return dict(found.most_common())


def _input_type(layer: Any, makers: Mapping[str, Any]) -> str:
    """Return the type that a layer reads: that in front of the dequantization, if there is one."""
    tensor = layer.get_input(0)
    maker = makers.get(tensor.name)
    if maker is not None and maker.type.name == "DEQUANTIZE":
        tensor = maker.get_input(0)
    name = tensor.dtype.name
    return TYPES.get(name, name.lower())


def engine_types(information: str) -> dict[str, int]:
    """Return the same for an engine, from the JSON of its inspector; empty if that shows nothing.

    TensorRT-RTX fuses a whole network into one layer and does not show its parts. A plan that was
    built without detailed verbosity shows only names.
    """
    return dict(Counter(layer.precision for layer in inspected_layers(information)).most_common())


def inspected_layers(information: str) -> list[Layer]:
    """Return the layers of an engine that multiply matrices, as `engine_types` finds them."""
    try:
        layers = json.loads(information).get("Layers", [])
    except (json.JSONDecodeError, AttributeError):
        return []
    return [
        Layer(
            name=str(layer.get("Name", "")),
            op=layer["LayerType"],
            precision=precision,
            nodes=tuple(ONNX_NODES.findall(str(layer.get("Metadata", "")))),
        )
        for layer in layers
        if isinstance(layer, dict) and COMPUTING_IN_ENGINE.search(layer.get("LayerType", ""))
        for precision in _first_format(layer)
    ]


def _first_format(layer: Mapping[str, Any]) -> Iterator[str]:
    for tensor in layer.get("Inputs", [])[:1]:
        for pattern, precision in FORMATS:
            if pattern.search(tensor.get("Format/Datatype", "")):
                yield precision
                return


def main_precision(layers: Mapping[str, int]) -> str:
    """Return the precision of most computing layers."""
    return max(layers, key=lambda precision: layers[precision], default="none")


def check_precision(layers: Mapping[str, int], asked: str, where: str, source: str) -> None:
    """Raise EngineError unless most computing layers are in the precision `asked`."""
    if main_precision(layers) == asked:
        return
    found = ", ".join(f"{count} {precision}" for precision, count in layers.items()) or "none"
    raise EngineError(
        f"{where}: is not {asked}: of its computing layers, the {source} shows {found}. Precision "
        f"comes from the types in the ONNX graph: make it with sut quantize --precision {asked}."
    )
