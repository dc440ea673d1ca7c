"""Detectors that are published as TensorFlow.js graph models, to ONNX with an open batch axis.

NanoDet-g: RangiLyu/nanodet, config/nanodet-g.yml. CenterNet with MobileNetV3:
610265158/mobilenetv3_centernet. Each ONNX file holds the network alone; boxes are made of its
outputs by a benchmark's postprocess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, numpy_helper

from data.convert.tfjs_file import read_tfjs
from data.convert.tfjs_graph import Graph, grow
from data.convert.tfjs_operators import OPERATORS, OPSET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from data.convert.tfjs_file import TfjsModel

VERSION = "1"  # raise it whenever the same weights become another file

_IR_VERSION = 9  # read by ONNX Runtime 1.15 and later


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the ONNX file.

    Attributes:
        name: of it.
        parts: the tensors of TensorFlow that it is made of, one behind the other along axis 1.
        shape: without the batch axis.
    """

    name: str
    parts: tuple[str, ...]
    shape: tuple[int, ...]


VARIANTS: Mapping[str, tuple[Output, ...]] = {
    # For strides of 8, 16 and 32 pixels: 52, 26 and 13 cells squared.
    "nanodet": (
        Output("scores", ("Identity", "Identity_1", "Identity_2"), (3549, 80)),
        Output("distances", ("Identity_3", "Identity_4", "Identity_5"), (3549, 44)),
    ),
    "centernet": (
        Output("heatmap", ("tower_0/keypoints",), (128, 128, 80)),
        Output("distances", ("tower_0/wh",), (128, 128, 4)),
    ),
}


def convert(source: Path, target: Path, variant: str) -> None:
    """Write the model at `source` to `target` as ONNX; the same input gives the same bytes.

    Raises:
        DataError: the files hold another model than `variant`, or are damaged.
    """
    write_onnx(read_tfjs(source), target, VARIANTS[variant])


def write_onnx(model: TfjsModel, target: Path, outputs: Sequence[Output]) -> None:
    """Write what `outputs` need of `model` to `target` as ONNX.

    Images are [N, 3, H, W] in the ONNX file, also where they are [N, H, W, 3] in the model; outputs
    have the axes of the model.

    Raises:
        DataError: the model has no such tensors, or an operator that is not known here.
    """
    graph = Graph()
    parts = [part for output in outputs for part in output.parts]
    values = iter(grow(graph, model, OPERATORS, parts))
    for output in outputs:
        names = [graph.plain(next(values)) for _ in output.parts]
        if len(names) == 1:
            graph.add("Identity", output.name, names)
        else:
            graph.add("Concat", output.name, names, axis=1)
    save(graph, {output.name: output.shape for output in outputs}, target)


def save(graph: Graph, outputs: Mapping[str, Sequence[int]], target: Path) -> None:
    """Check a graph and write it to `target`; `outputs` are shapes by name, without batch axis."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [size or "N" for size in shape])
        for name, shape in graph.inputs.items()
    ]
    answers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in outputs.items()
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    made = helper.make_graph(graph.nodes, "tfjs", inputs, answers, constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))
