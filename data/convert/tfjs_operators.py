"""TensorFlow's operators in ONNX, as far as the detectors that are read here use them.

Each function adds the nodes for one of TensorFlow's nodes. Source of the meanings: the operators'
definitions in tensorflow/tensorflow (core/ops/nn_ops.cc, array_ops.cc, math_ops.cc) and ONNX's
Operators.md, opset 18.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from data.convert.tfjs_graph import Tensor, Value
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from data.convert.tfjs_file import Array, Node
    from data.convert.tfjs_graph import Graph, Operator

OPSET = 18

_IMAGE = (0, 2, 3, 1)  # where N, H, W and C lie in [N, C, H, W]
_HEIGHT, _WIDTH = 1, 2  # axes of TensorFlow's images
_COLOURS = 3
_RELU6 = 6.0
_FUSED = {"Relu": "Relu", "Sigmoid": "Sigmoid"}


def _placeholder(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """An input. One that is an image in [N, H, W, C] becomes [N, C, H, W]; the batch is open."""
    shape = node.attributes["shape"]
    is_image = len(shape) == len(_IMAGE) and shape[-1] == _COLOURS
    order = _IMAGE if is_image else tuple(range(len(shape)))
    sizes: list[int | None] = [0] * len(shape)
    for axis, size in enumerate(shape):
        sizes[order[axis]] = size if axis else None
    name = node.name.rpartition("/")[2]
    graph.inputs[name] = tuple(sizes)
    return [Value(name, order)]


def _identity(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    return [inputs[0]]


def _unary(op: str, graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value = _computed(node, inputs[0])
    return [Value(graph.add(op, node.name, [value.name]), value.order)]


def _leaky_relu(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value = _computed(node, inputs[0])
    alpha = node.attributes.get("alpha", 0.2)
    return [Value(graph.add("LeakyRelu", node.name, [value.name], alpha=alpha), value.order)]


def _relu6(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value = _computed(node, inputs[0])
    bounds = [graph.constant(f"{node.name}/{x:g}", np.array(x, np.float32)) for x in (0, _RELU6)]
    return [Value(graph.add("Clip", node.name, [value.name, *bounds]), value.order)]


def _binary(
    op: str,
    fold: Callable[[Array, Array], Array],
    graph: Graph,
    node: Node,
    inputs: Sequence[Tensor],
) -> list[Tensor]:
    """An operator on two tensors whose shapes broadcast; two constants are computed now."""
    left, right = inputs
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return [fold(left, right)]
    order = left.order if isinstance(left, Value) else _computed(node, right).order
    names = [_operand(graph, node, k, each, order) for k, each in enumerate(inputs)]
    return [Value(graph.add(op, node.name, names), order)]


def _operand(
    graph: Graph, node: Node, position: int, tensor: Tensor, order: tuple[int, ...]
) -> str:
    """Return the name of an operand with its axes in `order`; a smaller constant is broadcast."""
    if isinstance(tensor, np.ndarray):
        if tensor.ndim:
            tensor = tensor.reshape((1,) * (len(order) - tensor.ndim) + tensor.shape)
            tensor = tensor.transpose([order.index(axis) for axis in range(len(order))])
        return graph.constant(f"{node.name}/{position}", tensor)
    if len(tensor.order) != len(order):
        raise DataError(f"TensorFlow.js graph: {node.name}: {node.op} of different ranks.")
    return graph.in_order(tensor, order)


def _convolution(
    graph: Graph, node: Node, inputs: Sequence[Tensor], *, depthwise: bool = False
) -> list[Tensor]:
    """A convolution, with the bias and the activation that are fused with it.

    TensorFlow's weights are [height, width, in, out], or [height, width, channels, multiplier].
    """
    weight = _known(node, inputs[1])
    height, width, channels = weight.shape[:3]
    if depthwise:
        weight = weight.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)
    else:
        weight = weight.transpose(3, 2, 0, 1)
    names = [
        graph.in_order(_computed(node, inputs[0]), _IMAGE),
        graph.constant(f"{node.name}/weight", weight),
    ]
    fused = list(node.attributes.get("fused_ops", ()))
    if fused[:1] == ["BiasAdd"]:
        names.append(graph.constant(f"{node.name}/bias", _known(node, inputs[2])))
        del fused[0]
    activation = fused[0] if fused else None
    if len(fused) > 1 or (activation and activation not in _FUSED):
        raise DataError(f"TensorFlow.js graph: {node.name}: {node.op} fused with {fused}.")
    result = graph.add(
        "Conv",
        f"{node.name}/conv" if activation else node.name,
        names,
        kernel_shape=[height, width],
        strides=node.attributes["strides"][_HEIGHT : _WIDTH + 1],
        dilations=node.attributes.get("dilations", [1, 1, 1, 1])[_HEIGHT : _WIDTH + 1],
        group=channels if depthwise else 1,
        **_padding(node),
    )
    if activation:
        result = graph.add(_FUSED[activation], node.name, [result])
    return [Value(result, _IMAGE)]


def _padding(node: Node) -> dict[str, str]:
    """Return ONNX's `auto_pad`; TensorFlow's SAME puts an odd pixel below and on the right."""
    padding = node.attributes["padding"]
    if padding not in ("SAME", "VALID") or node.attributes.get("data_format", "NHWC") != "NHWC":
        raise DataError(f"TensorFlow.js graph: {node.name}: {node.op} with {node.attributes}.")
    return {"auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID"}


def _max_pool(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    name = graph.add(
        "MaxPool",
        node.name,
        [graph.in_order(_computed(node, inputs[0]), _IMAGE)],
        kernel_shape=node.attributes["ksize"][_HEIGHT : _WIDTH + 1],
        strides=node.attributes["strides"][_HEIGHT : _WIDTH + 1],
        **_padding(node),
    )
    return [Value(name, _IMAGE)]


def _resize_bilinear(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    modes = {(False, True): "half_pixel", (True, False): "align_corners"}
    mode = modes.get(
        (node.attributes["align_corners"], node.attributes["half_pixel_centers"]), "asymmetric"
    )
    sizes = graph.constant(f"{node.name}/sizes", _known(node, inputs[1]).astype(np.int64))
    name = graph.add(
        "Resize",
        node.name,
        [graph.in_order(_computed(node, inputs[0]), _IMAGE), "", "", sizes],
        axes=[_IMAGE[_HEIGHT], _IMAGE[_WIDTH]],
        mode="linear",
        coordinate_transformation_mode=mode,
    )
    return [Value(name, _IMAGE)]


def _transpose(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Only the order of the axes changes."""
    value = _computed(node, inputs[0])
    return [
        Value(value.name, tuple(value.order[axis] for axis in _known(node, inputs[1]).tolist()))
    ]


def _reshape(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The first axis is the batch, which stays as it is."""
    value, shape = _computed(node, inputs[0]), _known(node, inputs[1])
    if shape[0] not in (1, -1):
        raise DataError(f"TensorFlow.js graph: {node.name}: a reshape to {shape}, not of a batch.")
    sizes = graph.constant(f"{node.name}/shape", np.array([0, *shape[1:]], np.int64))
    name = graph.add("Reshape", node.name, [graph.plain(value), sizes])
    return [Value(name, tuple(range(len(shape))))]


def _concat(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    values = [_computed(node, each) for each in inputs[:-1]]
    order = values[0].order
    axis = order[int(_known(node, inputs[-1]))]
    names = [graph.in_order(value, order) for value in values]
    return [Value(graph.add("Concat", node.name, names, axis=axis), order)]


def _split(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value, sizes = _computed(node, inputs[0]), _known(node, inputs[1])
    start, parts = 0, []
    axis = np.array([value.order[int(_known(node, inputs[2]))]], np.int64)
    axes = graph.constant(f"{node.name}/axis", axis)
    for k, size in enumerate(int(size) for size in sizes):
        bounds = [
            graph.constant(f"{node.name}/{what}_{k}", np.array([at], np.int64))
            for what, at in (("from", start), ("to", start + size))
        ]
        name = graph.add("Slice", f"{node.name}/{k}", [value.name, *bounds, axes])
        parts.append(Value(name, value.order))
        start += size
    return list(parts)


def _pad(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    """TensorFlow has [before, after] for each axis, ONNX all before, then all after."""
    value, pads = _computed(node, inputs[0]), _known(node, inputs[1])
    by_axis = pads[[value.order.index(axis) for axis in range(len(value.order))]]
    sides = by_axis.T.reshape(-1).astype(np.int64)
    names = [value.name, graph.constant(f"{node.name}/pads", sides)]
    if len(inputs) > 2:  # noqa: PLR2004 - PadV2 has a third input, the number to pad with
        names.append(graph.constant(f"{node.name}/value", _known(node, inputs[2])))
    return [Value(graph.add("Pad", node.name, names), value.order)]


def _mean(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    value = _computed(node, inputs[0])
    if not node.attributes["keep_dims"]:
        raise DataError(f"TensorFlow.js graph: {node.name}: a {node.op} that drops axes.")
    axes = [value.order[axis] for axis in _known(node, inputs[1]).reshape(-1).tolist()]
    names = [value.name, graph.constant(f"{node.name}/axes", np.array(axes, np.int64))]
    return [Value(graph.add("ReduceMean", node.name, names, keepdims=1), value.order)]


def _sparse_to_dense(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> list[Tensor]:
    indices, shape, values, default = (_known(node, each) for each in inputs)
    dense = np.full([int(size) for size in shape], default, values.dtype)
    dense[tuple(indices.reshape(-1, dense.ndim).T)] = values
    return [dense]


def _computed(node: Node, tensor: Tensor) -> Value:
    if not isinstance(tensor, Value):
        raise DataError(f"TensorFlow.js graph: {node.name}: {node.op} of a constant.")
    return tensor


def _known(node: Node, tensor: Tensor) -> Array:
    if isinstance(tensor, Value):
        raise DataError(
            f"TensorFlow.js graph: {node.name}: {tensor.name} is computed; expected a constant."
        )
    return tensor


OPERATORS: Mapping[str, Operator] = {
    "Placeholder": _placeholder,
    "Identity": _identity,
    "Relu": partial(_unary, "Relu"),
    "Sigmoid": partial(_unary, "Sigmoid"),
    "LeakyRelu": _leaky_relu,
    "Relu6": _relu6,
    "Add": partial(_binary, "Add", np.add),
    "AddV2": partial(_binary, "Add", np.add),
    "Mul": partial(_binary, "Mul", np.multiply),
    "Conv2D": _convolution,
    "_FusedConv2D": _convolution,
    "DepthwiseConv2dNative": partial(_convolution, depthwise=True),
    "FusedDepthwiseConv2dNative": partial(_convolution, depthwise=True),
    "MaxPool": _max_pool,
    "ResizeBilinear": _resize_bilinear,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "ConcatV2": _concat,
    "SplitV": _split,
    "Pad": _pad,
    "PadV2": _pad,
    "Mean": _mean,
    "SparseToDense": _sparse_to_dense,
}
