"""YOLO11 with random weights, as ONNX: a stand-in, to measure speed without trained weights.

Written from descriptions of the architecture: https://arxiv.org/abs/2410.17725 (C3k2, SPPF, C2PSA,
the sizes n to x), https://arxiv.org/abs/2006.04388 (a side of a box as a distribution over 16
distances). Batch norms are folded into the convolutions, as they are for inference. Input `images`
[N, 3, side, side]; output `output0` [N, 84, candidates]: of each candidate cx, cy, w, h in pixels
and 80 class scores, 0 to 1. 640x640 pixels have 8,400 candidates.

Scores are such that of the 8,400 candidates of a synthetic image about 1,100 pass a confidence of
0.001 (YOLO11l, seed 0), so that the suppression of boxes has work as with trained weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data.convert.layers import LOUDNESS, Filter, Layers, Value, image
from data.convert.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "1"  # raise it whenever the same seed becomes another file
SIDE_STEP = 32  # what the strides divide an image by

CLASSES = 80
STRIDES = (8, 16, 32)
_SIDE = 640
_BINS = 16  # distances that a side of a box chooses from
_HEAD_CHANNELS = 64  # of an attention head
_POOL = 5
_WINDOW, _HALVING = Filter(3), Filter(3, 2)
_REPEATS = 2  # of the blocks in C3k2 and C2PSA, before the factor of the size
_RESIDUAL_SCALE = 0.5  # of what attention adds to its shortcut
# Spread of the logits of the scores and of the distances.
_SCORE_SPREAD, _BOX_SPREAD = 0.5, 1.5
_SCORE_BIAS = -9.6


class Size(NamedTuple):
    """One of the family's sizes.

    Attributes:
        depth: factor of the repeats in a block.
        width: factor of the channels.
        most: channels before the factor.
        deep: every C3k2 has C3k inside, not only the last ones.
    """

    depth: float
    width: float
    most: int
    deep: bool


SIZES = {
    "n": Size(0.5, 0.25, 1024, deep=False),
    "s": Size(0.5, 0.5, 1024, deep=False),
    "m": Size(0.5, 1.0, 512, deep=True),
    "l": Size(1.0, 1.0, 512, deep=True),
    "x": Size(1.0, 1.5, 512, deep=True),
}


def make(target: Path, seed: int, dtype: str) -> None:
    """Write YOLO11l for 640x640 pixels to `target`; the same bytes for a seed."""
    write(target, seed, dtype, "l", _SIDE)


def make_at(target: Path, seed: int, dtype: str, side: int) -> None:
    """Write YOLO11l for images of another side, in pixels."""
    write(target, seed, dtype, "l", side)


def write(target: Path, seed: int, dtype: str, size: str, side: int) -> None:
    """Write the model of a size.

    Args:
        target: the file.
        seed: of the weights.
        dtype: of the weights, the input and the output.
        size: a key of SIZES.
        side: of the image in pixels, a multiple of 32.
    """
    net = Network(seed, dtype)
    yolo = _Yolo(net, Layers(net), SIZES[size], side)
    yolo.detect(yolo.neck(*yolo.backbone()))
    candidates = sum((side // stride) ** 2 for stride in STRIDES)
    image = net.value("images", (3, side, side))
    answers = net.value("output0", (4 + CLASSES, candidates))
    net.write(target, f"yolo11{size}_random", [image], [answers])


@dataclass(frozen=True, slots=True)
class _Yolo:
    """The network's blocks, each from a value to a value."""

    net: Network
    add: Layers
    size: Size
    side: int

    def backbone(self) -> tuple[Value, Value, Value]:
        """Return what the neck takes, at strides of 8, 16 and 32 pixels."""
        x = self.add.conv(image("images", 3), "0", self._width(64), _HALVING)
        x = self.add.conv(x, "1", self._width(128), _HALVING)
        x = self._c3k2(x, "2", 256, share=0.25)
        x = self.add.conv(x, "3", self._width(256), _HALVING)
        small = self._c3k2(x, "4", 512, share=0.25)
        x = self.add.conv(small, "5", self._width(512), _HALVING)
        middle = self._c3k2(x, "6", 512, deep=True)
        x = self.add.conv(middle, "7", self._width(1024), _HALVING)
        x = self._c3k2(x, "8", 1024, deep=True)
        return small, middle, self._c2psa(self._sppf(x, "9"), "10")

    def neck(self, small: Value, middle: Value, large: Value) -> tuple[Value, Value, Value]:
        """Mix the three levels, down and up again."""
        down = self._c3k2(self.add.concat([self.add.twice(large, "11"), middle], "12"), "13", 512)
        first = self._c3k2(self.add.concat([self.add.twice(down, "14"), small], "15"), "16", 256)
        x = self.add.conv(first, "17", self._width(256), _HALVING)
        second = self._c3k2(self.add.concat([x, down], "18"), "19", 512)
        x = self.add.conv(second, "20", self._width(512), _HALVING)
        third = self._c3k2(self.add.concat([x, large], "21"), "22", 1024, deep=True)
        return first, second, third

    def detect(self, levels: Sequence[Value]) -> None:
        """Add the heads and what makes boxes and scores of them; the last node is `output0`."""
        first = levels[0].channels
        box_width = max(16, first // 4, 4 * _BINS)
        score_width = max(first, min(CLASSES, 100))
        flat = [self._head(x, f"23.{k}", box_width, score_width) for k, x in enumerate(levels)]
        net = self.net
        whole = net.node("Concat", "23.whole", flat, axis=2)
        parts = net.integers("23.parts", 4 * _BINS, CLASSES)
        net.nodes("Split", ["23.distances", "23.logits"], [whole, parts], axis=1)
        boxes = self._boxes("23.distances")
        scores = net.node("Sigmoid", "23.scores", ["23.logits"])
        net.node("Concat", "output0", [boxes, scores], axis=1)

    def _head(self, x: Value, name: str, box_width: int, score_width: int) -> str:
        """Return distances and logits of one level, [N, 64 + 80, cells]."""
        y = self.add.conv(
            self.add.conv(x, f"{name}.box.0", box_width, _WINDOW),
            f"{name}.box.1",
            box_width,
            _WINDOW,
        )
        boxes = self.add.plain(y, f"{name}.box", 4 * _BINS, Filter(spread=_BOX_SPREAD / LOUDNESS))
        y = self.add.conv(x, f"{name}.score.0", x.channels, Filter(3, groups=x.channels))
        y = self.add.conv(y, f"{name}.score.1", score_width)
        y = self.add.conv(y, f"{name}.score.2", score_width, Filter(3, groups=score_width))
        y = self.add.conv(y, f"{name}.score.3", score_width)
        kind = Filter(spread=_SCORE_SPREAD / LOUDNESS, bias=_SCORE_BIAS)
        logits = self.add.plain(y, f"{name}.score", CLASSES, kind)
        both = self.add.concat([boxes, logits], f"{name}.both")
        return self.add.reshaped(both.name, f"{name}.flat", (0, both.channels, -1))

    def _boxes(self, distances: str) -> str:
        """Return cx, cy, w, h in pixels: the mean of each distribution, from the cell's middle."""
        net = self.net
        x = self.add.reshaped(distances, "23.sides", (0, 4, _BINS, -1))
        x = net.node("Transpose", "23.bins", [x], perm=[0, 2, 1, 3])
        x = net.node("Softmax", "23.shares", [x], axis=1)
        bins = np.arange(_BINS, dtype=np.float64).reshape(1, _BINS, 1, 1)
        x = net.conv("23.mean", x, bins, np.zeros(1), strides=[1, 1])
        x = self.add.reshaped(x, "23.lengths", (0, 4, -1))
        halves = net.integers("23.halves", 2, 2)
        net.nodes("Split", ["23.before", "23.after"], [x, halves], axis=1)
        points, strides = _cells(self.side)
        middle = net.constant("23.points", points)
        low = net.node("Sub", "23.low", [middle, "23.before"])
        high = net.node("Add", "23.high", [middle, "23.after"])
        both = net.node("Add", "23.sum", [low, high])
        centre = net.node("Div", "23.centre", [both, net.constant("23.two", np.array(2.0))])
        extent = net.node("Sub", "23.extent", [high, low])
        cells = net.node("Concat", "23.cells", [centre, extent], axis=1)
        return net.node("Mul", "23.pixels", [cells, net.constant("23.strides", strides)])

    def _c3k2(
        self, x: Value, name: str, out: int, *, share: float = 0.5, deep: bool = False
    ) -> Value:
        """Split, send one half through blocks, keep what is between, and join all."""
        width = self._width(out)
        inner = int(width * share)
        joined = self.add.conv(x, f"{name}.in", 2 * inner)
        halves = self.add.split(joined, f"{name}.split")
        kept = list(halves)
        for k in range(self._repeats()):
            block = f"{name}.{k}"
            if deep or self.size.deep:
                kept.append(self._c3k(kept[-1], block))
            else:
                kept.append(self._bottleneck(kept[-1], block, inner // 2))
        return self.add.conv(self.add.concat(kept, f"{name}.join"), f"{name}.out", width)

    def _c3k(self, x: Value, name: str) -> Value:
        """Two bottlenecks beside a shortcut."""
        inner = x.channels // 2
        y = self.add.conv(x, f"{name}.first", inner)
        for k in range(2):
            y = self._bottleneck(y, f"{name}.{k}", inner)
        beside = self.add.conv(x, f"{name}.beside", inner)
        return self.add.conv(
            self.add.concat([y, beside], f"{name}.join"), f"{name}.last", x.channels
        )

    def _bottleneck(self, x: Value, name: str, inner: int) -> Value:
        y = self.add.conv(
            self.add.conv(x, f"{name}.a", inner, _WINDOW), f"{name}.b", x.channels, _WINDOW
        )
        return self.add.added(x, y, name)

    def _sppf(self, x: Value, name: str) -> Value:
        """Pool three times, and join what is between."""
        kept = [self.add.conv(x, f"{name}.in", x.channels // 2)]
        for k in range(3):
            pooled = self.net.node(
                "MaxPool", f"{name}.pool{k}", [kept[-1].name],
                kernel_shape=[_POOL] * 2, strides=[1, 1], pads=[_POOL // 2] * 4,
            )  # fmt: skip
            kept.append(Value(pooled, kept[0].channels))
        return self.add.conv(self.add.concat(kept, f"{name}.join"), f"{name}.out", x.channels)

    def _c2psa(self, x: Value, name: str) -> Value:
        """Split, send one half through blocks of attention, and join both."""
        joined = self.add.conv(x, f"{name}.in", x.channels // 2 * 2)
        beside, y = self.add.split(joined, f"{name}.split")
        for k in range(self._repeats()):
            y = self.add.added(y, self._attention(y, f"{name}.{k}"), f"{name}.{k}")
            z = self.add.conv(y, f"{name}.{k}.wide", 2 * y.channels)
            z = self.add.plain(z, f"{name}.{k}.narrow", y.channels, Filter(spread=_RESIDUAL_SCALE))
            y = self.add.added(y, z, f"{name}.{k}.feed")
        return self.add.conv(
            self.add.concat([beside, y], f"{name}.join"), f"{name}.out", x.channels
        )

    def _attention(self, x: Value, name: str) -> Value:
        """Attention between all places; keys have half of the channels of values."""
        net = self.net
        heads = x.channels // _HEAD_CHANNELS
        key = _HEAD_CHANNELS // 2
        width = 2 * key + _HEAD_CHANNELS
        mixed = self.add.plain(x, f"{name}.qkv", heads * width)
        apart = self.add.reshaped(mixed.name, f"{name}.heads", (0, heads, width, -1))
        parts = net.integers(f"{name}.parts", key, key, _HEAD_CHANNELS)
        q, k, v = names = [f"{name}.{part}" for part in "qkv"]
        net.nodes("Split", names, [apart, parts], axis=2)
        turned = net.node("Transpose", f"{name}.turned", [q], perm=[0, 1, 3, 2])
        alike = net.node("MatMul", f"{name}.alike", [turned, k])
        factor = net.constant(f"{name}.factor", np.array(key**-0.5 / LOUDNESS**2))
        shares = net.node(
            "Softmax", f"{name}.shares", [net.node("Mul", f"{name}.scaled", [alike, factor])],
            axis=-1,
        )  # fmt: skip
        across = net.node("Transpose", f"{name}.across", [shares], perm=[0, 1, 3, 2])
        seen = net.node("MatMul", f"{name}.seen", [v, across])
        cells = self.side // STRIDES[-1]
        image = (0, x.channels, cells, cells)
        flat = self.add.reshaped(seen, f"{name}.image", image)
        values = mixed._replace(
            name=self.add.reshaped(v, f"{name}.values", image), channels=x.channels
        )
        placed = self.add.plain(values, f"{name}.place", x.channels, Filter(3, groups=x.channels))
        # What is seen everywhere is a mean over all places, and hardly differs from place to place.
        both = placed._replace(name=net.node("Add", f"{name}.both", [flat, placed.name]))
        return self.add.plain(both, f"{name}.out", x.channels, Filter(spread=_RESIDUAL_SCALE))

    def _width(self, channels: int) -> int:
        """Return the channels of this size, a multiple of 8."""
        return math.ceil(min(channels, self.size.most) * self.size.width / 8) * 8

    def _repeats(self) -> int:
        return max(1, round(_REPEATS * self.size.depth))


def _cells(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x, y of the cells' middles in strides, [1, 2, n], and the strides, [1, 1, n]."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: side // stride, : side // stride] + 0.5
        points.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(x.size, stride, np.float64))
    return np.concatenate(points, axis=1)[None], np.concatenate(strides)[None, None]
