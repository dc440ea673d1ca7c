"""ResNet-50 v1.5 with random weights, as ONNX: to measure speed without trained weights.

v1.5 has the stride of a block in its 3x3 convolution. Batch norms are folded into the
convolutions, as they are for inference: https://arxiv.org/abs/1512.03385, table 1. Input
[N, 3, side, side]; output `top1` [N, 1] int64, the best class, as MLPerf's own file has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from data.convert.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "1"  # raise it whenever the same seed becomes another file
SIDE_STEP = 32  # what the strides divide an image by

_CLASSES = 1000
_SIDE = 224
_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
# Scale of what a block adds to its shortcut, so that sixteen of them stay within float16.
_RESIDUAL_SCALE = 0.25


def make(target: Path, seed: int, dtype: str) -> None:
    """Write the model to `target`, weights and input in `dtype`; the same bytes for a seed."""
    make_at(target, seed, dtype, _SIDE)


def make_at(target: Path, seed: int, dtype: str, side: int) -> None:
    """Write the model for images of another side, in pixels; the weights are the same."""
    network = Network(seed, dtype)
    _ResNet(network).add_layers()
    image, best = network.value("input", (3, side, side)), network.value("top1", (1,), "int64")
    network.write(target, "resnet50_random", [image], [best])


@dataclass(frozen=True, slots=True)
class _ResNet:
    """The network's layers, each from a name to a name."""

    net: Network

    def add_layers(self) -> None:
        """Add all, in order."""
        net = self.net
        x = self._relu(self._conv("input", "stem", (64, 3, 7), stride=2))
        x = net.node("MaxPool", "pool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        channels = 64
        for stage, blocks in enumerate(_BLOCKS):
            width = 64 << stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                x = self._block(x, f"stage{stage + 1}.{block}", (channels, width), stride)
                channels = width * _EXPANSION
        x = net.node("Flatten", "flat", [net.node("GlobalAveragePool", "mean", [x])])
        weight = net.constant("fc.weight", self._he((_CLASSES, channels), channels))
        bias = net.constant("fc.bias", self._he((_CLASSES,), _CLASSES))
        x = net.node("Gemm", "logits", [x, weight, bias], transB=1)
        scores = net.node("Cast", "scores", [x], to=TensorProto.FLOAT)
        net.node("ArgMax", "top1", [scores], axis=1, keepdims=1)

    def _block(self, x: str, name: str, channels: tuple[int, int], stride: int) -> str:
        """Reduce, filter, expand; add the input, projected where its shape changes."""
        before, width = channels
        after = width * _EXPANSION
        y = self._relu(self._conv(x, f"{name}.reduce", (width, before, 1)))
        y = self._relu(self._conv(y, f"{name}.filter", (width, width, 3), stride=stride))
        y = self._conv(y, f"{name}.expand", (after, width, 1), scale=_RESIDUAL_SCALE)
        if before != after or stride > 1:
            x = self._conv(x, f"{name}.project", (after, before, 1), stride=stride)
        return self._relu(self.net.node("Add", f"{name}.add", [y, x]))

    def _conv(
        self,
        x: str,
        name: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        scale: float = 1.0,
    ) -> str:
        out, into, side = shape
        weight = self._he((out, into, side, side), into * side * side, scale)
        return self.net.conv(name, x, weight, self._he((out,), out), strides=[stride, stride])

    def _relu(self, x: str) -> str:
        return self.net.node("Relu", f"{x}.relu", [x])

    def _he(self, shape: tuple[int, ...], fan_in: int, scale: float = 1.0) -> NDArray[np.float64]:
        """Return normal weights after He et al.: a layer does not change the spread."""
        weight: NDArray[np.float64] = self.net.random(shape) * (scale * np.sqrt(2 / fan_in))
        return weight
