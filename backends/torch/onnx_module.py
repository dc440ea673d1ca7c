"""An ONNX file as a torch module: only the operators of convolutional classifiers and detectors.

Knows no device, precision or batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional

from backends.base import TensorSpec
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from backends.base import Array

    Attributes = Mapping[str, Any]
    Answers: TypeAlias = torch.Tensor | Sequence[torch.Tensor]
    Operator = Callable[[Sequence[torch.Tensor], Attributes], Answers]


class OnnxModule(nn.Module):  # type: ignore[misc]  # torch may be absent, then it has no types
    """The graph of an ONNX model.

    Attributes:
        declared_inputs: batch axis first; None for an open one.
        declared_outputs: in the order in which `forward` returns them.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        model = _load(path)
        graph = model.graph
        held = _constants(graph)
        inputs = [value for value in graph.input if value.name not in held]
        self.declared_inputs = [_tensor(value) for value in inputs]
        self.declared_outputs = [_tensor(value) for value in graph.output]
        self._inputs = [value.name for value in inputs]
        self._outputs = [value.name for value in graph.output]
        self._steps = [_Step(node, held, path) for node in graph.node if node.op_type != CONSTANT]
        self._names = {}
        read = {*self._outputs, *(name for step in self._steps for name in step.inputs)}
        for number, name in enumerate(name for name in held if name in read):
            self._names[name] = f"constant_{number}"  # ONNX names may have dots, torch's may not
            self.register_buffer(self._names[name], torch.from_numpy(np.array(held[name])))

    def take(self, names: Sequence[str]) -> None:
        """Take the inputs in the order of these names, all of them, from now on."""
        self._inputs = list(names)

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return every output for a batch of each input."""
        values = {name: getattr(self, held) for name, held in self._names.items()}
        values |= zip(self._inputs, batch, strict=True)
        values[""] = None  # an input that a node leaves out
        for step in self._steps:
            found = step.run([values[name] for name in step.inputs], step.attributes)
            answers = (found,) if len(step.outputs) == 1 else found
            values |= zip(step.outputs, answers, strict=True)
        return tuple(values[name] for name in self._outputs)


class _Step:
    """One node."""

    def __init__(self, node: onnx.NodeProto, held: Mapping[str, Array], path: str) -> None:
        run = OPERATORS.get(node.op_type)
        several = len(node.output) > 1 and node.op_type != SPLIT
        if run is None or node.domain not in ("", "ai.onnx") or several:
            raise EngineError(
                f'{path}: the torch backend cannot run node "{node.name}" of type {node.op_type}; '
                f"it knows {', '.join(OPERATORS)}. Export the model with torch.export (.pt2), or "
                "use another backend."
            )
        self.run = run
        self.outputs = list(node.output)
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        names = FIXED.get(node.op_type, ())
        first = 1 if names else len(node.input)
        self.inputs = list(node.input[:first])
        for name, source in zip(names, node.input[first:], strict=False):
            if source and source not in held:
                raise EngineError(
                    f'{path}: node "{node.name}" of type {node.op_type} computes its {name} while '
                    "it runs; the torch backend needs a constant. Export the model for one size "
                    "of image, with only the batch axis open."
                )
            if source:
                self.attributes[name] = held[source].tolist()
        if node.op_type == SPLIT:
            self.attributes.setdefault("num_outputs", len(node.output))


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the initializers, and what nodes of type Constant give."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == CONSTANT:
            (attribute,) = node.attribute
            value = helper.get_attribute_value(attribute)
            if attribute.name == "value":
                held[node.output[0]] = numpy_helper.to_array(value)
            else:  # value_float, value_ints and so on
                kind = np.float32 if "float" in attribute.name else np.int64
                held[node.output[0]] = np.array(value, kind)
    return held


def _load(path: str) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's and onnx's exceptions share no other base
        reason = " ".join(str(error).split())
        raise EngineError(
            f"{path}: not an ONNX model, or incomplete: {reason}. Export or copy it again."
        ) from error


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.dim_value else None for size in tensor.shape.dim)
    return TensorSpec(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)


# One function an operator: its inputs and attributes, as https://onnx.ai/onnx/operators says.


def _conv(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, weight = inputs[:2]
    stride, dilation = _pair(attributes, "strides"), _pair(attributes, "dilations")
    reach = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilation, strict=True)]
    x, padding = _padded(x, attributes, reach, stride, 0.0)
    bias = inputs[2] if len(inputs) > 2 else None  # noqa: PLR2004 - the third is the bias
    groups = attributes.get("group", 1)
    return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _max_pool(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    kernel, stride = list(attributes["kernel_shape"]), _pair(attributes, "strides")
    x, padding = _padded(inputs[0], attributes, kernel, stride, float("-inf"))
    return functional.max_pool2d(x, kernel, stride, padding, _pair(attributes, "dilations"))


def _padded(
    x: torch.Tensor,
    attributes: Attributes,
    reach: Sequence[int],
    stride: Sequence[int],
    fill: float,
) -> tuple[torch.Tensor, list[int]]:
    """Return `x` and the padding to ask torch for; padded here where the sides differ."""
    pads = list(attributes.get("pads", (0, 0, 0, 0)))
    same = attributes.get("auto_pad", b"NOTSET").decode()
    if same.startswith("SAME"):
        missing = [
            max(0, (-(-size // step) - 1) * step + window - size)
            for size, step, window in zip(x.shape[2:], stride, reach, strict=True)
        ]
        small, large = [n // 2 for n in missing], [n - n // 2 for n in missing]
        pads = [*small, *large] if same == "SAME_UPPER" else [*large, *small]
    top, left, bottom, right = pads
    if (top, left) == (bottom, right) and all(
        2 * p <= r for p, r in zip(pads, reach, strict=False)
    ):
        return x, [top, left]
    return functional.pad(x, (left, right, top, bottom), value=fill), [0, 0]


def _clip(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    low, high = ([*inputs[1:], None, None])[:2]
    return torch.clamp(
        inputs[0],
        attributes.get("min") if low is None else low.to(inputs[0].dtype),
        attributes.get("max") if high is None else high.to(inputs[0].dtype),
    )


def _gemm(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    a = inputs[0].T if attributes.get("transA") else inputs[0]
    b = inputs[1].T if attributes.get("transB") else inputs[1]
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if len(inputs) == 2:  # noqa: PLR2004 - the third is the bias
        return alpha * (a @ b)
    return torch.addmm(inputs[2], a, b, beta=beta, alpha=alpha)


def _flatten(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    axis = attributes.get("axis", 1)
    x = inputs[0]
    return x.flatten(axis) if axis == 1 else x.reshape(int(np.prod(x.shape[:axis])), -1)


def _arg_max(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    keep = bool(attributes.get("keepdims", 1))
    return torch.argmax(inputs[0], attributes.get("axis", 0), keepdim=keep)


def _cast(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    name = helper.tensor_dtype_to_np_dtype(attributes["to"]).name
    return inputs[0].to(getattr(torch, name))


def _gather(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    axis = attributes.get("axis", 0) % inputs[0].dim()
    # By indexing, which counts a negative index from the end, as ONNX does.
    return inputs[0][(slice(None),) * axis + (inputs[1].long(),)]


def _softmax(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return torch.softmax(inputs[0], attributes.get("axis", -1))


def _concat(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return torch.cat(list(inputs), attributes["axis"])


def _divide(inputs: Sequence[torch.Tensor], _: Attributes) -> torch.Tensor:
    floating = inputs[0].is_floating_point()
    return torch.div(inputs[0], inputs[1], rounding_mode=None if floating else "trunc")


def _reshape(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, shape = inputs[0], attributes["shape"]
    if attributes.get("allowzero"):
        return x.reshape(shape)
    return x.reshape([size or x.shape[axis] for axis, size in enumerate(shape)])


def _resize(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x = inputs[0]
    size = attributes.get("sizes") or [
        int(n * scale) for n, scale in zip(x.shape, attributes["scales"], strict=True)
    ]
    mode = attributes.get("mode", b"nearest").decode()
    whole = all(new % old == 0 for new, old in zip(size, x.shape, strict=True))
    how = (
        attributes.get("coordinate_transformation_mode", b"half_pixel").decode(),
        attributes.get("nearest_mode", b"round_prefer_floor").decode(),
    )
    if mode != "nearest" or not whole or how not in REPEATS:
        raise EngineError(
            f"Resize in mode {mode}, {how[0]}, {how[1]}, from {list(x.shape)} to {size}; the torch "
            "backend repeats rows and columns, and does no more"
        )
    return functional.interpolate(x, size[2:])


def _slice(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, starts = inputs[0], attributes["starts"]
    axes = attributes.get("axes", range(len(starts)))
    steps = attributes.get("steps", [1] * len(starts))
    chosen = [slice(None)] * x.dim()
    for axis, start, end, step in zip(axes, starts, attributes["ends"], steps, strict=True):
        chosen[axis] = slice(start, end, step)
    return x[tuple(chosen)]


def _split(inputs: Sequence[torch.Tensor], attributes: Attributes) -> Answers:
    x, axis, sizes = inputs[0], attributes.get("axis", 0), attributes.get("split")
    if sizes is None:
        sizes = -(-x.shape[axis] // attributes["num_outputs"])
    found: Sequence[torch.Tensor] = torch.split(x, sizes, axis)
    return found if len(found) > 1 else found[0]


def _transpose(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x = inputs[0]
    return x.permute(attributes.get("perm", list(range(x.dim()))[::-1]))


def _mean(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return inputs[0].mean((2, 3), keepdim=True)


def _pair(attributes: Attributes, name: str) -> list[int]:
    return list(attributes.get(name, (1, 1)))


CONSTANT, SPLIT = "Constant", "Split"
# Inputs from the second on that must be constants: torch takes them as numbers, not as tensors.
FIXED: Mapping[str, Sequence[str]] = {
    "Reshape": ("shape",),
    "Resize": ("roi", "scales", "sizes"),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
}
# Ways of Resize that repeat rows and columns when they become a whole number of times as many.
REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")}
OPERATORS: Mapping[str, Operator] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "ArgMax": _arg_max,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _divide,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _mean,
    "Identity": lambda inputs, _: inputs[0],
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Transpose": _transpose,
}
