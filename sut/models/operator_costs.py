"""What one ONNX operator computes: multiply-adds, and other operations, from its shapes.

Pure. docs/devices.md has the table of what is counted. An operator that is in no list here is named
as not counted, and never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Shape = tuple[int, ...]

# Computed where the operator before leaves its result: one operation an output element, and no
# traffic of its own for what it takes from there.
ELEMENTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Where", "PRelu"),
        *("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu"),
        *("Gelu", "Mish", "Softplus", "Softsign", "Swish", "Erf", "Exp", "Log", "Sqrt", "Abs"),
        *("Reciprocal", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Not", "And", "Or", "Xor"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf", "Celu"),
        *("Selu", "Neg"),
        *("BatchNormalization", "QuantizeLinear", "Cast", "QLinearAdd", "QLinearMul"),
    }
)  # fmt: skip
# Only another view of the same memory, or known when the model is loaded. A dequantization is part
# of the operator that reads it.
FREE = frozenset(
    {
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape", "Size"),
        *("Constant", "ConstantOfShape", "DequantizeLinear"),
    }
)
# Bytes only.
MOVES = frozenset(
    {
        *("Concat", "Transpose", "Slice", "Split", "Gather", "GatherElements", "GatherND", "Pad"),
        *("Tile", "Expand", "DepthToSpace", "SpaceToDepth", "Resize", "Upsample", "ScatterND"),
        *("ScatterElements", "Range", "OneHot", "NonZero", "TopK", "CumSum", "Trilu", "Compress"),
    }
)
# Operations for each element that is read: a maximum, a difference, an exponential, a sum and a
# division; or mean, variance, scale and shift.
_READ_ONCE: Mapping[str, int] = {
    **dict.fromkeys(("Softmax", "LogSoftmax"), 5),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), 5),
    **dict.fromkeys(("LpNormalization", "RMSNormalization", "ReduceL2", "ReduceSumSquare"), 2),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum"), 1),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ArgMax", "ArgMin"), 1),
    **dict.fromkeys(("QLinearGlobalAveragePool", "Hardmax"), 1),
}
_POOLS = frozenset({"AveragePool", "MaxPool", "LpPool", "QLinearAveragePool"})
# The input with the weights of a convolution.
_KERNEL_AT: Mapping[str, int] = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of a graph, with all shapes known.

    Attributes:
        op: its type.
        inputs: shapes; empty for a scalar, and for an input that is left out.
        outputs: shapes.
        attributes: those that are numbers, lists of numbers or text.
    """

    op: str
    inputs: Sequence[Shape]
    outputs: Sequence[Shape]
    attributes: Mapping[str, object] = field(default_factory=dict)


def is_counted(op: str) -> bool:
    """Return whether this module knows what an operator costs."""
    return (
        op in _MULTIPLYING
        or op in _READ_ONCE
        or op in _POOLS
        or op in ELEMENTWISE
        or op in FREE
        or op in MOVES
    )


def multiply_adds(call: Call) -> int:
    """Return how many products are added up."""
    rule = _MULTIPLYING.get(call.op)
    return 0 if rule is None else rule(call)


def other_operations(call: Call) -> int:
    """Return the operations of an operator that multiplies no matrices."""
    if call.op in _READ_ONCE:
        return _READ_ONCE[call.op] * prod(call.inputs[0])
    if call.op in _POOLS:
        window = call.attributes.get("kernel_shape", ())
        return prod(call.outputs[0]) * prod(_sizes(window))
    if call.op == "BatchNormalization":  # scale and shift
        return 2 * prod(call.outputs[0])
    return prod(call.outputs[0]) if call.op in ELEMENTWISE and call.op != "Cast" else 0


def _sizes(value: object) -> Shape:
    return tuple(int(v) for v in value) if isinstance(value, list | tuple) else ()


def _convolution(call: Call) -> int:
    kernel = call.inputs[_KERNEL_AT[call.op]]
    return prod(call.outputs[0]) * prod(kernel[1:])  # [out, in / groups, height, width]


def _transposed(call: Call) -> int:
    return prod(call.inputs[0]) * prod(call.inputs[1][1:])  # [in, out / groups, height, width]


def _product(call: Call) -> int:
    return prod(call.outputs[0]) * call.inputs[0][-1]


def _gemm(call: Call) -> int:
    rows_first = not call.attributes.get("transA", 0)
    return prod(call.outputs[0]) * call.inputs[0][1 if rows_first else 0]


def _recurrent(call: Call) -> int:
    """Weights [directions, gates x hidden, input] and [directions, gates x hidden, hidden]."""
    steps, batch = call.inputs[0][:2]
    return steps * batch * (prod(call.inputs[1]) + prod(call.inputs[2]))


def _einsum(call: Call) -> int:
    text = str(call.attributes.get("equation", "")).replace(" ", "")
    operands = text.partition("->")[0].split(",")
    if len(operands) != len(call.inputs) or "." in text:
        return 0
    sizes: dict[str, int] = {}
    for letters, shape in zip(operands, call.inputs, strict=True):
        sizes |= dict(zip(letters, shape, strict=False))
    return prod(sizes.values()) * (len(operands) - 1)


_MULTIPLYING: Mapping[str, Callable[[Call], int]] = {
    **dict.fromkeys(_KERNEL_AT, _convolution),
    "ConvTranspose": _transposed,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul"), _product),
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm"), _gemm),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "Einsum": _einsum,
}
