"""Layers with random weights for makers of stand-ins: what they give varies from place to place.

Weights are centred and scaled so that no layer changes the spread of its input, whatever the depth.
Knows no architecture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.convert.network import Network

# Every sum has this deviation. So far from 0, SiLU is as good as ReLU, which passes a factor on
# unchanged; near 0 a small error of the spread would grow from layer to layer.
LOUDNESS = 8.0
# 1 / the variance of ReLU over a normal distribution, and the deviation of that distribution in
# units of ReLU's.
_GAIN = 1 / (1 / 2 - 1 / (2 * math.pi))
_PLAIN_SPREAD = _GAIN**0.5
_BIAS_SPREAD = 0.1
_TWICE = np.array([1, 1, 2, 2], np.float32)


class Value(NamedTuple):
    """An output of a node.

    Attributes:
        name: of the output.
        channels: axis 1.
        spread: how much it differs from place to place; 1 is that of SiLU over a normal
            distribution with a deviation of LOUDNESS.
    """

    name: str
    channels: int
    spread: float = 1.0


class Filter(NamedTuple):
    """What a convolution is like.

    Attributes:
        side: of its window.
        stride: in both directions.
        groups: of channels.
        spread: of its sums, in units of LOUDNESS.
        bias: of all its outputs, if no activation follows.
    """

    side: int = 1
    stride: int = 1
    groups: int = 1
    spread: float = 1.0
    bias: float = 0.0


POINT = Filter()


def image(name: str, channels: int) -> Value:
    """Return an input of synthetic pixels, which are uniform from 0 to 1."""
    return Value(name, channels, (_GAIN / 12) ** 0.5 / LOUDNESS)


@dataclass(frozen=True, slots=True)
class Layers:
    """Adds layers to a network, each from a value to a value."""

    net: Network

    def conv(self, x: Value, name: str, out: int, kind: Filter = POINT) -> Value:
        """Convolve, then SiLU."""
        y = self._filtered(x, name, self.net.random((out,)) * _BIAS_SPREAD, kind)
        gate = self.net.node("Sigmoid", f"{name}.gate", [y])
        return Value(self.net.node("Mul", f"{name}.silu", [y, gate]), out)

    def plain(self, x: Value, name: str, out: int, kind: Filter = POINT) -> Value:
        """Convolve, without an activation."""
        y = self._filtered(x, name, np.full(out, kind.bias), kind)
        return Value(y, out, kind.spread * _PLAIN_SPREAD)

    def _filtered(self, x: Value, name: str, bias: NDArray[np.float64], kind: Filter) -> str:
        """Convolve with weights that sum to 0 for each output.

        Else what all channels have in common, everywhere in the image, grows from layer to layer,
        until every place is the same.
        """
        weight = self.net.random((len(bias), x.channels // kind.groups, kind.side, kind.side))
        weight -= weight.mean((1, 2, 3), keepdims=True)
        weight *= np.sqrt(_GAIN / weight[0].size) * kind.spread / x.spread
        grouped = {"group": kind.groups} if kind.groups > 1 else {}
        return self.net.conv(name, x.name, weight, bias, strides=[kind.stride] * 2, **grouped)

    def split(self, x: Value, name: str) -> tuple[Value, Value]:
        """Return both halves of the channels."""
        half = x.channels // 2
        names = (f"{name}.0", f"{name}.1")
        self.net.nodes(
            "Split", names, [x.name, self.net.integers(f"{name}.sizes", half, half)], axis=1
        )
        return Value(names[0], half, x.spread), Value(names[1], half, x.spread)

    def concat(self, values: Sequence[Value], name: str) -> Value:
        """Join the channels."""
        joined = self.net.node("Concat", name, [value.name for value in values], axis=1)
        channels = sum(value.channels for value in values)
        square = sum(value.channels * value.spread**2 for value in values) / channels
        return Value(joined, channels, math.sqrt(square))

    def added(self, x: Value, y: Value, name: str) -> Value:
        """Add two values of the same channels."""
        total = self.net.node("Add", f"{name}.sum", [x.name, y.name])
        return Value(total, x.channels, math.hypot(x.spread, y.spread))

    def twice(self, x: Value, name: str) -> Value:
        """Repeat every row and column."""
        scales = self.net.constant(f"{name}.scales", _TWICE)
        resized = self.net.node(
            "Resize", name, [x.name, "", scales],
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        return Value(resized, x.channels, x.spread)

    def reshaped(self, x: str, name: str, shape: Sequence[int]) -> str:
        """Reshape; 0 keeps a size."""
        return self.net.node("Reshape", name, [x, self.net.integers(f"{name}.shape", *shape)])
