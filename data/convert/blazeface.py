"""BlazeFace (back camera), published as a TensorFlow.js graph model, to ONNX with boxes inside.

Bazarevsky et al., BlazeFace, 2019. The network gives a score and the offsets of a box and of six
points from an anchor's centre, in pixels of its input of 256 x 256. Two anchors lie in each of
16 x 16 cells, six in each of 8 x 8. The ONNX file adds the centres, so that a candidate is centre,
size and score, as postprocess `yolo` reads it; the points are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.convert.tfjs import save
from data.convert.tfjs_file import read_tfjs
from data.convert.tfjs_graph import Graph, grow
from data.convert.tfjs_operators import OPERATORS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "1"  # raise it whenever the same weights become another file
OUTPUT = "candidates"

_SIZE = 256  # of the input's sides, pixels
_LEVELS = ((16, 2), (8, 6))  # cells along a side, anchors in each
_SCORES, _OFFSETS = ("Identity", "Identity_1"), ("Identity_2", "Identity_3")
_CENTRE, _BOX = 2, 4
_LAST_AXIS = 2


def convert(source: Path, target: Path, variant: str) -> None:
    """Write the model at `source` to `target` as ONNX; the same input gives the same bytes.

    Raises:
        DataError: the files hold another model, or are damaged.
    """
    graph = Graph()
    values = grow(graph, read_tfjs(source), OPERATORS, [*_SCORES, *_OFFSETS])
    names = [graph.plain(value) for value in values]
    scores = graph.add("Concat", "scores", names[:2], axis=1)
    offsets = graph.add("Concat", "offsets", names[2:], axis=1)
    anchors = centres()
    moved = _columns(graph, offsets, 0, _CENTRE)
    centre = graph.add("Add", "centre", [moved, graph.constant("anchors", anchors[None])])
    size = _columns(graph, offsets, _CENTRE, _BOX)
    graph.add("Concat", OUTPUT, [centre, size, scores], axis=_LAST_AXIS)
    save(graph, {OUTPUT: (len(anchors), _BOX + 1)}, target)


def centres() -> NDArray[np.float32]:
    """Return x and y of every anchor's centre in pixels of the input, [896, 2] float32."""
    found = []
    for cells, anchors in _LEVELS:
        middle = (np.arange(cells, dtype=np.float32) + 0.5) * (_SIZE / cells)
        y, x = np.meshgrid(middle, middle, indexing="ij")
        points = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
        found.append(np.repeat(points, anchors, axis=0))
    return np.concatenate(found)


def _columns(graph: Graph, tensor: str, first: int, end: int) -> str:
    """Add a node that takes some of the last axis; return its name."""
    name = f"{tensor}/{first}_{end}"
    bounds = [
        graph.constant(f"{name}/{what}", np.array([value], np.int64))
        for what, value in (("from", first), ("to", end), ("axis", _LAST_AXIS))
    ]
    return graph.add("Slice", name, [tensor, *bounds])
