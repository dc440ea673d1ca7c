"""Models that know the boxes of a synthetic clip by their colours, exactly, on any backend.

Both are made of comparisons and maxima of whole numbers, which float32 holds exactly, so their
answers are the same to the pixel everywhere. Nothing is learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.convert.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_EXACT = 0.5  # colours are whole numbers: what is nearer is the same
_PLACES = np.array([1, 256, 65536], np.float32)


def write_detector(
    target: Path, colours: NDArray[np.uint8], labels: NDArray[np.int64], size: tuple[int, int]
) -> None:
    """Write a model that finds each colour's box, `frames` [N, 3, H, W] RGB from 0 to 255.

    Outputs `boxes` [N, K, 4]: left, top, right, bottom in pixels; `scores` [N, K]: 1, or 0 where
    the colour is not there; `classes` [N, K].

    Args:
        target: the file.
        colours: [K, 3] of objects that are all different.
        labels: [K], their classes.
        size: width and height of a frame.
    """
    net, (width, height), count = Network(0, "float32"), size, len(colours)
    # A colour as one whole number below 2**24: three times less work than three channels.
    places = net.constant("places", _PLACES.reshape(1, 3, 1, 1))
    placed = net.node("Mul", "placed", ["frames", places])
    pixels = net.node("ReduceSum", "pixels", [placed, net.integers("colour_axis", 1)], keepdims=1)
    codes = net.constant("codes", (colours.astype(np.float32) @ _PLACES).reshape(1, count, 1, 1))
    off = net.node("Abs", "off", [net.node("Sub", "difference", [pixels, codes])])
    same = net.node("Less", "same", [off, _number(net, "exact", _EXACT)])
    mask = net.node("Cast", "mask", [same], to=1)
    columns = net.node("ReduceMax", "columns", [mask], axes=[2], keepdims=0)
    rows = net.node("ReduceMax", "rows", [mask], axes=[3], keepdims=0)
    left, right = _ends(net, columns, width)
    top, bottom = _ends(net, rows, height)
    net.node("Concat", "boxes", [left, top, right, bottom], axis=2)
    net.node("ReduceMax", "scores", [columns], axes=[2], keepdims=0)
    nothing = net.node("Mul", "nothing", ["scores", _number(net, "zero", 0.0)])
    own = net.constant("labels", labels.astype(np.float32).reshape(1, count))
    net.node("Add", "classes", [nothing, own])
    outputs = [net.value("boxes", (count, 4)), net.value("scores", (count,))]
    net.write(
        target,
        "coloured_boxes",
        [net.value("frames", (3, height, width))],
        [*outputs, net.value("classes", (count,))],
    )


def write_classifier(target: Path, colours: NDArray[np.uint8], side: int) -> None:
    """Write a model that tells whose crop it is, `crops` [N, 3, side, side] RGB from 0 to 255.

    Output `logits` [N, K + 1]: the highest is that of the object whose colour all pixels have; of a
    crop with any other pixel in it, the last.

    Args:
        target: the file.
        colours: [K, 3] of objects that are all different.
        side: of a crop.
    """
    net, count = Network(0, "float32"), len(colours)
    pixels = net.node("Unsqueeze", "pixels", ["crops", net.integers("colour_axis", 1)])
    known = net.constant("colours", colours.astype(np.float32).reshape(1, count, 3, 1, 1))
    off = net.node("Abs", "off", [net.node("Sub", "difference", [pixels, known])])
    farthest = net.node("ReduceMax", "farthest", [off], axes=[2, 3, 4], keepdims=0)
    near = net.node("Neg", "near", [farthest])
    first = net.node("ReduceMax", "first", [near], axes=[1], keepdims=1)
    nothing = net.node("Mul", "nothing", [first, _number(net, "zero", 0.0)])
    impure = net.node("Sub", "impure", [nothing, _number(net, "exact", _EXACT)])
    net.node("Concat", "logits", [near, impure], axis=1)
    net.write(
        target,
        "coloured_crops",
        [net.value("crops", (3, side, side))],
        [net.value("logits", (count + 1,))],
    )


def _ends(net: Network, line: str, size: int) -> tuple[str, str]:
    """Return the first place of a 1 in a line of 0 and 1, and that behind the last; [N, K, 1]."""
    ends = []
    for end, places in (("last", np.arange(size) + 1), ("first", size - np.arange(size))):
        weights = net.constant(f"{line}_{end}_places", places.astype(np.float32))
        placed = net.node("Mul", f"{line}_{end}_placed", [line, weights])
        ends.append(net.node("ReduceMax", f"{line}_{end}", [placed], axes=[2], keepdims=1))
    behind, before = ends
    whole = _number(net, f"{line}_size", float(size))
    return net.node("Sub", f"{line}_begin", [whole, before]), behind


def _number(net: Network, name: str, value: float) -> str:
    return net.constant(name, np.array(value, np.float32))
