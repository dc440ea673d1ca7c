"""The person detector SSDLite MobileNetV2 (TensorFlow's Object Detection API), to ONNX.

Sandler et al., MobileNetV2, 2018; Liu et al., SSD, 2016. The ONNX file holds the network between
the graph's own resize and its own suppression: images of 300 x 300 in, differences from 1,917
anchors and scores out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from data.convert.graph_def import read_graph_def
from data.convert.tfjs import Output, save
from data.convert.tfjs_graph import Graph, Tensor, Value, grow
from data.convert.tfjs_operators import OPERATORS
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from data.convert.tfjs_file import Node
    from data.convert.tfjs_graph import Operator

VERSION = "1"  # raise it whenever the same weights become another file
INPUT = "Preprocessor/sub"  # pixels, scaled to -1 to 1
OUTPUTS = (
    Output("differences", ("concat",), (1917, 4)),
    Output("scores", ("concat_1",), (1917, 2)),
)

_SIZE = 300
_BATCH = -1
_IMAGE = (0, 2, 3, 1)  # where N, H, W and C lie in [N, C, H, W]


def convert(source: Path, target: Path, variant: str) -> None:
    """Write the graph at `source` to `target` as ONNX; the same input gives the same bytes.

    Raises:
        DataError: the file holds another graph, or is damaged.
    """
    write_onnx(source, target, OUTPUTS)


def write_onnx(source: Path, target: Path, outputs: Sequence[Output]) -> None:
    """Write what `outputs` need of the graph at `source`, from its resized pixels on.

    Raises:
        DataError: the file holds another graph, or is damaged.
    """
    model = read_graph_def(source)
    known = model.nodes.get(INPUT)
    if known is None:
        raise DataError(f"{source}: it has no node {INPUT}; expected SSDLite's graph.")
    fed = replace(known, op="Placeholder", inputs=(), attributes={"shape": (1, _SIZE, _SIZE, 3)})
    model = replace(model, nodes={**model.nodes, INPUT: fed})
    graph = Graph()
    values = grow(graph, model, _OPERATORS, [part for o in outputs for part in o.parts])
    for output, value in zip(outputs, values, strict=True):
        graph.add(
            "Reshape",
            output.name,
            [
                graph.plain(value),
                graph.constant(f"{output.name}/shape", np.array([0, *output.shape], np.int64)),
            ],
        )
    save(graph, {output.name: output.shape for output in outputs}, target)


def _batch_norm(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value = _image(graph, node, inputs[0])
    names = [
        graph.constant(f"{node.name}/{what}", _array(node, each))
        for what, each in zip(("scale", "offset", "mean", "variance"), inputs[1:], strict=True)
    ]
    epsilon = node.attributes.get("epsilon", 1e-4)
    made = graph.add("BatchNormalization", node.name, [value, *names], epsilon=epsilon)
    return [Value(made, _IMAGE)]


def _bias(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    bias = graph.constant(f"{node.name}/bias", _array(node, inputs[1]).reshape(1, -1, 1, 1))
    made = graph.add("Add", node.name, [_image(graph, node, inputs[0]), bias])
    return [Value(made, _IMAGE)]


def _batch_of(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Of a shape, the graph takes only the batch, which a reshape keeps."""
    return [np.array(_BATCH, np.int64)]


def _pack(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    return [np.stack([_array(node, each).astype(np.int64) for each in inputs])]


def _image(graph: Graph, node: Node, tensor: Tensor) -> str:
    if not isinstance(tensor, Value):
        raise DataError(f"frozen graph: {node.name}: {node.op} of a constant.")
    return graph.in_order(tensor, _IMAGE)


def _array(node: Node, tensor: Tensor) -> np.ndarray:
    if isinstance(tensor, Value):
        raise DataError(f"frozen graph: {node.name}: {tensor.name} is computed.")
    return tensor


_OPERATORS: Mapping[str, Operator] = {
    **OPERATORS,
    "FusedBatchNorm": _batch_norm,
    "BiasAdd": _bias,
    "Shape": _batch_of,
    "StridedSlice": _batch_of,
    "Pack": _pack,
}
