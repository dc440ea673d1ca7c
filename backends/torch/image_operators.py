"""What the ONNX operators on images compute, in torch: windows, sizes and norms of [N, C, H, W].

One function an operator; see operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    Attributes = Mapping[str, Any]
    Answers: TypeAlias = torch.Tensor | Sequence[torch.Tensor]
    Operator = Callable[[Sequence[torch.Tensor], Attributes], Answers]


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


def _average_pool(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    kernel, stride = list(attributes["kernel_shape"]), _pair(attributes, "strides")
    x, padding = _padded(inputs[0], attributes, kernel, stride, 0.0)
    counted = bool(attributes.get("count_include_pad", 0))
    if x is not inputs[0] and not counted:
        raise EngineError(
            f"AveragePool that pads {attributes.get('pads', 'unevenly')}, and does not count it; "
            "the torch backend does so only if both sides are alike"
        )
    return functional.avg_pool2d(x, kernel, stride, padding, count_include_pad=counted)


def _batch_norm(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, scale, bias, mean, variance = inputs
    epsilon = attributes.get("epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, bias, eps=epsilon)


def _pad(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x, pads = inputs[0], attributes["pads"]
    mode = attributes.get("mode", b"constant").decode()
    if mode != "constant":
        raise EngineError(f"Pad in mode {mode}; the torch backend pads with a constant")
    axes = [axis % x.dim() for axis in attributes.get("axes", range(x.dim()))]
    before, after = [0] * x.dim(), [0] * x.dim()
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    # torch begins with the last axis.
    sides = [n for axis in reversed(range(x.dim())) for n in (before[axis], after[axis])]
    return functional.pad(x, sides, value=constant(attributes.get("constant_value", 0.0)))


def _resize(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
    x = inputs[0]
    size = _resized(x, attributes)
    mode = attributes.get("mode", b"nearest").decode()
    place = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode == "linear" and place in CORNERS and not attributes.get("antialias"):
        return functional.interpolate(
            x, size[2:], mode="bilinear", align_corners=place == "align_corners"
        )
    whole = all(new % old == 0 for new, old in zip(size, x.shape, strict=True))
    how = place, attributes.get("nearest_mode", b"round_prefer_floor").decode()
    if mode != "nearest" or not whole or how not in REPEATS:
        raise EngineError(
            f"Resize in mode {mode}, {how[0]}, {how[1]}, from {list(x.shape)} to {size}; the torch "
            "backend repeats rows and columns, or interpolates linearly between pixels' middles or "
            "corners"
        )
    return functional.interpolate(x, size[2:])


def _resized(x: torch.Tensor, attributes: Attributes) -> list[int]:
    """Return the size of every axis that a Resize asks for."""
    size = list(x.shape)
    axes = attributes.get("axes", range(x.dim()))
    wanted = attributes.get("sizes") or [
        int(size[axis] * scale) for axis, scale in zip(axes, attributes["scales"], strict=True)
    ]
    for axis, new in zip(axes, wanted, strict=True):
        size[axis] = new
    return size


def _pair(attributes: Attributes, name: str) -> list[int]:
    return list(attributes.get(name, (1, 1)))


def constant(value: Any) -> Any:
    """Return a number that may be written as a list of one; None stays None."""
    return value[0] if isinstance(value, list) else value


# Ways of Resize that repeat rows and columns when they become a whole number of times as many.
REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")}
# Ways of Resize to place pixels, which torch has for linear interpolation.
CORNERS = ("half_pixel", "align_corners")
# Attributes that nothing here looks at, and the value that changes nothing.
NEUTRAL: Mapping[str, Mapping[str, object]] = {
    "AveragePool": {"ceil_mode": 0, "dilations": [1, 1]},
    "BatchNormalization": {"training_mode": 0},
    "MaxPool": {"ceil_mode": 0},
    "Resize": {"keep_aspect_ratio_policy": b"stretch"},
}
# See operators.
FIXED: Mapping[str, Sequence[str]] = {
    "Pad": ("pads", "constant_value", "axes"),
    "Resize": ("roi", "scales", "sizes"),
}
OPERATORS: Mapping[str, Operator] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Resize": _resize,
}
