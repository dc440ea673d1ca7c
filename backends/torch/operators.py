"""What each ONNX operator computes, in torch: only those of the networks that are measured here.

One function an operator: its inputs and attributes, as https://onnx.ai/onnx/operators says. Those
that know height and width are in image_operators. Knows no graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import helper
from torch.nn import functional

from backends.torch import image_operators
from backends.torch.image_operators import constant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backends.torch.image_operators import Answers, Attributes, Operator


def _clip(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    low, high = ([*inputs[1:], None, None])[:2]
    return torch.clamp(
        inputs[0],
        constant(attributes.get("min")) if low is None else low.to(inputs[0].dtype),
        constant(attributes.get("max")) if high is None else high.to(inputs[0].dtype),
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


def _mean(inputs: Sequence[torch.Tensor], _: Attributes) -> torch.Tensor:
    return inputs[0].mean((2, 3), keepdim=True)


def _reduce(
    compute: Callable[..., torch.Tensor],
) -> Callable[[Sequence[torch.Tensor], Attributes], torch.Tensor]:
    """Return the operator that makes one number of each row along some axes."""

    def run(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
        axes = list(attributes.get("axes", ()))
        if not axes:
            if attributes.get("noop_with_empty_axes"):
                return inputs[0]
            axes = list(range(inputs[0].dim()))
        return compute(inputs[0], axes, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _squeeze(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    axes = attributes.get("axes")
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(axes))


def _unsqueeze(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, axes = inputs[0], attributes["axes"]
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _elu(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return functional.elu(inputs[0], attributes.get("alpha", 1.0))


def _leaky_relu(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    return functional.leaky_relu(inputs[0], attributes.get("alpha", 0.01))


def _selu(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    gamma = attributes.get("gamma", SELU_GAMMA)
    bent = functional.elu(inputs[0], attributes.get("alpha", SELU_ALPHA))
    return bent if gamma == 1 else gamma * bent


def _layer_norm(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, scale = inputs[:2]
    bias = inputs[2] if len(inputs) > 2 else None  # noqa: PLR2004 - the third is the bias
    shape = x.shape[attributes.get("axis", -1) % x.dim() :]
    return functional.layer_norm(x, shape, scale, bias, attributes.get("epsilon", 1e-5))


# Inputs from the second on that must be constants: torch takes them as numbers, not as tensors.
FIXED: Mapping[str, Sequence[str]] = {
    **image_operators.FIXED,
    "ReduceMax": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceSum": ("axes",),
    "Reshape": ("shape",),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Squeeze": ("axes",),
    "Unsqueeze": ("axes",),
}
# Likewise, where they are constants: the compiler joins an operator with numbers to the one before.
NUMBERS: Mapping[str, Sequence[str]] = {"Clip": ("min", "max")}
# Defaults of Selu.
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
OPERATORS: Mapping[str, Operator] = {
    **image_operators.OPERATORS,
    "Abs": lambda inputs, _: torch.abs(inputs[0]),
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "ArgMax": _arg_max,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Div": _divide,
    "Elu": _elu,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _mean,
    "Identity": lambda inputs, _: inputs[0],
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky_relu,
    "Less": lambda inputs, _: inputs[0] < inputs[1],
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Neg": lambda inputs, _: -inputs[0],
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Reshape": _reshape,
    "Selu": _selu,
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
