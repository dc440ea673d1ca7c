"""An ONNX file as a torch module: only the operators of convolutional classifiers.

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

    Attributes = Mapping[str, Any]
    Operator = Callable[[Sequence[torch.Tensor], Attributes], torch.Tensor]


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
        held = {tensor.name: tensor for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in held]
        self.declared_inputs = [_tensor(value) for value in inputs]
        self.declared_outputs = [_tensor(value) for value in graph.output]
        self._inputs = [value.name for value in inputs]
        self._outputs = [value.name for value in graph.output]
        self._steps = [_Step(node, path) for node in graph.node]
        self._names = {}
        for number, (name, tensor) in enumerate(held.items()):
            value = torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            self._names[name] = f"constant_{number}"  # ONNX names may have dots, torch's may not
            self.register_buffer(self._names[name], value)

    def take(self, names: Sequence[str]) -> None:
        """Take the inputs in the order of these names, all of them, from now on."""
        self._inputs = list(names)

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return every output for a batch of each input."""
        values = {name: getattr(self, held) for name, held in self._names.items()}
        values |= zip(self._inputs, batch, strict=True)
        for step in self._steps:
            values[step.output] = step.run([values[name] for name in step.inputs], step.attributes)
        return tuple(values[name] for name in self._outputs)


class _Step:
    """One node."""

    def __init__(self, node: onnx.NodeProto, path: str) -> None:
        run = OPERATORS.get(node.op_type)
        if run is None or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
            raise EngineError(
                f'{path}: the torch backend cannot run node "{node.name}" of type {node.op_type}; '
                f"it knows {', '.join(OPERATORS)}. Export the model with torch.export (.pt2), or "
                "use another backend."
            )
        self.run = run
        self.inputs = list(node.input)
        self.output = node.output[0]
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}


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


def _mean(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return inputs[0].mean((2, 3), keepdim=True)


def _pair(attributes: Attributes, name: str) -> list[int]:
    return list(attributes.get(name, (1, 1)))


OPERATORS: Mapping[str, Operator] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "ArgMax": _arg_max,
    "Cast": _cast,
    "Clip": _clip,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _mean,
    "Identity": lambda inputs, _: inputs[0],
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Softmax": _softmax,
}
