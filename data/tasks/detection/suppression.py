"""Non-maximum suppression by ONNX Runtime's operator, and the choice of the best boxes.

ONNX Runtime's operator is the fastest of those that were measured (docs/detection.md), and comes
with this program. Knows only arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_OPSET, _IR_VERSION = 13, 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What stays.

    Attributes:
        iou: a box that overlaps a better one more than this goes: intersection over union.
        max_boxes: the most that stay.
        reach: boxes are compared as if they were cut at this distance from 0. It bounds how far
            classes are moved apart, and so the rounding: 0.02 pixels for 80 classes at 640 pixels.
    """

    iou: float
    max_boxes: int
    reach: float


def suppress(
    boxes: Floats, scores: Floats, classes: NDArray[np.intp] | None, limits: Limits
) -> NDArray[np.intp]:
    """Return the indices of the boxes that stay, the best first. Of equal scores the first stays.

    Args:
        boxes: [k, 4] of two opposite corners each.
        scores: [k].
        classes: [k]; boxes of different classes do not suppress each other; None: they do.
        limits: see Limits.
    """
    if len(scores) <= 1:  # as most often in a video; the operator's call takes 40 us
        return np.arange(len(scores))
    boxes = np.clip(boxes, -limits.reach, limits.reach)
    if classes is not None:
        # Far from each other, boxes of two classes have no overlap, and one call does for all.
        boxes += (classes * (2 * limits.reach + 1)).astype(np.float32)[:, None]
    feeds = {
        "boxes": boxes[None],
        "scores": scores[None, None],
        "max_boxes": np.array([limits.max_boxes], np.int64),
        "iou": np.array([limits.iou], np.float32),
    }
    (kept,) = _session().run(None, feeds)
    indices: NDArray[np.intp] = kept[:, 2]
    return indices


def load() -> None:
    """Load the operator: 0.1 s, and more where ONNX Runtime lies on a slow disk."""
    _session()


@cache
def _session() -> Any:
    """Return ONNX Runtime with one operator; each process makes it once, in a few milliseconds."""
    import onnxruntime  # noqa: PLC0415 - programs that judge a log do not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(_model(), options, providers=["CPUExecutionProvider"])


def _model() -> bytes:
    from onnx import TensorProto, helper  # noqa: PLC0415 - as above

    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, None, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, None]),
        helper.make_tensor_value_info("max_boxes", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("iou", TensorProto.FLOAT, [1]),
    ]
    kept = helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])
    node = helper.make_node("NonMaxSuppression", [value.name for value in inputs], ["kept"])
    graph = helper.make_graph([node], "suppression", inputs, [kept])
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
