"""Classifiers that Keras 2 saved as one HDF5 file, to ONNX with an open batch axis.

Source of the format: keras-team/keras 2, engine/saving.py: the layers as JSON in `model_config`,
their weights in `model_weights`. h5py reads the file; nothing of Keras runs.
"""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]

VERSION = "1"  # raise it whenever the same weights become another file
INPUT, OUTPUT = "input", "probs"
_OPSET, _IR_VERSION = 17, 9


def convert(source: Path, target: Path, variant: str) -> None:
    """Write the model at `source` to `target` as ONNX; the same input gives the same bytes.

    Images are [N, 3, H, W] in the ONNX file.

    Raises:
        DataError: h5py is not installed, or the file is none of Keras, or has a layer that is not
            known here.
    """
    config, weights = _read(source)
    graph = _Graph()
    names: dict[str, str] = {}
    size: tuple[int, ...] = ()
    last = ""
    for layer in config["config"]["layers"]:
        kind, options, name = layer["class_name"], layer["config"], layer["name"]
        inbound = layer["inbound_nodes"]
        inputs = [names[node[0]] for node in inbound[0]] if inbound else []
        if kind == "InputLayer":
            last, size = INPUT, tuple(options["batch_input_shape"][1:])
        elif kind not in _LAYERS:
            raise DataError(f"{source}: layer {name} is a {kind}; expected one of {_known()}.")
        else:
            last = _LAYERS[kind](graph, inputs, options, weights.get(name, {}))
        names[name] = last
    graph.nodes.append(helper.make_node("Identity", [last], [OUTPUT]))
    _save(graph, size, target)


class _Graph:
    """Nodes and weights while they grow."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: NDArray[Any]) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name


def _read(source: Path) -> tuple[Any, dict[str, Weights]]:
    if importlib.util.find_spec("h5py") is None:
        raise DataError(f"{source}: a file of Keras needs h5py. Install it: pip install h5py")
    import h5py  # noqa: PLC0415 - only this converter needs it

    try:
        with h5py.File(source, "r") as file:
            config = json.loads(file.attrs["model_config"])
            groups = file["model_weights"]
            weights: dict[str, Weights] = {
                layer: {
                    _short(name): group[_plain(name)][()] for name in group.attrs["weight_names"]
                }
                for layer, group in groups.items()
            }
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{source}: {error}; expected a model that Keras 2 saved.") from error
    return config, weights


def _plain(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()


def _short(name: str | bytes) -> str:
    """Return the last part of a weight's name, such as kernel of Conv1/kernel:0."""
    return _plain(name).rpartition("/")[2].partition(":")[0]


def _convolution(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    depthwise = "depthwise_kernel" in weights
    kernel = weights["depthwise_kernel" if depthwise else "kernel"]
    height, width, channels = kernel.shape[:3]
    if depthwise:
        weight = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)
    else:
        weight = kernel.transpose(3, 2, 0, 1)
    names = [*inputs, graph.constant(weight)]
    if "bias" in weights:
        names.append(graph.constant(weights["bias"]))
    made = graph.add(
        "Conv",
        names,
        kernel_shape=[height, width],
        strides=options["strides"],
        dilations=options["dilation_rate"],
        group=channels if depthwise else 1,
        auto_pad="SAME_UPPER" if options["padding"] == "same" else "VALID",
    )
    return _activated(graph, made, options)


def _batch_norm(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    names = [weights[key] for key in ("gamma", "beta", "moving_mean", "moving_variance")]
    constants = [graph.constant(each) for each in names]
    return graph.add("BatchNormalization", [*inputs, *constants], epsilon=options["epsilon"])


def _relu(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    if options.get("max_value") is None:
        return graph.add("Relu", inputs)
    bounds = [graph.constant(np.array(x, np.float32)) for x in (0, options["max_value"])]
    return graph.add("Clip", [*inputs, *bounds])


def _zeros(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    (top, bottom), (left, right) = options["padding"]
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return graph.add("Pad", [*inputs, graph.constant(pads)])


def _average(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    return graph.add(
        "AveragePool", inputs, kernel_shape=options["pool_size"], strides=options["strides"]
    )


def _flatten(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    return graph.add("Flatten", [graph.add("Transpose", inputs, perm=[0, 2, 3, 1])])


def _dense(
    graph: _Graph, inputs: Sequence[str], options: Mapping[str, Any], weights: Weights
) -> str:
    constants = [graph.constant(weights[key]) for key in ("kernel", "bias")]
    return _activated(graph, graph.add("Gemm", [*inputs, *constants]), options)


def _activated(graph: _Graph, name: str, options: Mapping[str, Any]) -> str:
    kind = options.get("activation", "linear")
    if kind == "linear":
        return name
    op = {"relu": "Relu", "softmax": "Softmax", "sigmoid": "Sigmoid"}.get(kind)
    if op is None:
        raise DataError(f"a file of Keras: activation {kind} is not known here.")
    return graph.add(op, [name])


_LAYERS: Mapping[str, Callable[[_Graph, Sequence[str], Mapping[str, Any], Weights], str]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2D": _convolution,
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    "ReLU": _relu,
    "ZeroPadding2D": _zeros,
    "AveragePooling2D": _average,
    "Add": lambda graph, inputs, options, weights: graph.add("Add", inputs),
    "Flatten": _flatten,
    "Dropout": lambda graph, inputs, options, weights: inputs[0],
    "Dense": _dense,
}


def _known() -> str:
    return ", ".join(sorted(_LAYERS))


def _save(graph: _Graph, size: tuple[int, ...], target: Path) -> None:
    height, width, channels = size
    image = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", channels, height, width])
    answer = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", None])
    made = helper.make_graph(graph.nodes, "keras", [image], [answer], graph.constants)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))
