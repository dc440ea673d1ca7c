"""From a YOLO head's output to the boxes that stay, on the device: torch operators of fixed shapes.

Fixed shapes, because a CUDA graph has no others. Equal to the benchmark's own postprocess as long
as the boxes that stay are among the best `candidates` of an image. Knows no benchmark or images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sut.base.errors import EngineError

AXES, BOX = 3, 4
# Rounds of suppression. In round t all boxes are decided whose chain of better boxes, each of which
# overlaps the next, has up to t links. After an odd number no box stays that should go.
ROUNDS = 31
# Bits of a number.
WORD = 32
# Columns of an answer: xmin, ymin, xmax, ymax, score, class.
COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Head:
    """What the output is, and which boxes stay; see data.tasks.detection.yolo.Yolo.

    Attributes:
        kind: of the postprocess.
        confidence: boxes with a score up to this are left out.
        max_boxes: of an image.
        order: of a box's four numbers.
        class_wise: only boxes of one class suppress each other.
        sigmoid: scores are logits.
        iou: the largest overlap with a better box; None: no box suppresses another.
        transposed: the output is [n, candidates, 4 + classes]; None: the longer axis has the
            candidates.
    """

    kind: Literal["yolo"]
    confidence: float
    max_boxes: int
    order: Literal["xyxy", "yxyx", "xywh", "cxcywh"]
    class_wise: bool
    sigmoid: bool
    iou: float | None = None
    transposed: bool | None = None


class Boxes(nn.Module):  # type: ignore[misc]  # torch may be absent, then it has no types
    """Chooses the boxes of a batch.

    Args:
        head: see there.
        candidates: of an image, the best ones, that come to the suppression.
    """

    def __init__(self, head: Head, candidates: int) -> None:
        super().__init__()
        self._head, self._most = head, candidates

    def forward(self, output: torch.Tensor) -> torch.Tensor:
        """Return [n, max_boxes, 6] float32 of [n, 4 + classes, candidates], the best boxes first.

        Unused rows are 0. Where the output is not finite, all rows of the image are NaN.
        """
        head = self._head
        if output.dim() != AXES:
            raise EngineError(
                f"output 0 has shape {list(output.shape)}; expected [n, 4 + classes, candidates]. "
                "Name that output in the benchmark's `output`, or use postprocess=worker"
            )
        long = output.shape[1] > output.shape[2]
        if long if head.transposed is None else head.transposed:
            output = output.transpose(1, 2)
        scores, classes = output[:, BOX:].max(dim=1)
        scores = scores.float()
        peak = scores.amax(1) + output[:, :BOX].float().abs().amax((1, 2))
        if head.sigmoid:
            scores = torch.sigmoid(scores)
        best = self._best(scores)
        scores, classes = scores.gather(1, best), classes.gather(1, best)
        numbers = output[:, :BOX].gather(2, best[:, None].expand(-1, BOX, -1)).float()
        boxes = _corners(numbers, head.order)
        keep = scores > head.confidence
        if head.iou is not None:
            keep = _suppressed(boxes, classes if head.class_wise else None, keep, head.iou)
        rows = torch.cat([boxes, scores[:, None], classes[:, None].float()], dim=1)
        chosen = _first(rows.transpose(1, 2), keep, head.max_boxes)
        finite = torch.isfinite(peak)[:, None, None]
        return torch.where(finite, chosen, torch.full_like(chosen, float("nan")))

    def _best(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the indices of the best candidates, [n, k], the best first.

        Of equal scores the first comes first: a key holds the score's bits, which are in the order
        of numbers above 0, and below them the place from the end.
        """
        count = scores.shape[1]
        passing = torch.where(scores > self._head.confidence, scores, torch.zeros_like(scores))
        places = torch.arange(count, device=scores.device)
        keys = passing.view(torch.int32).long() * count + (count - 1 - places)
        found = torch.topk(keys, min(self._most, count), dim=1).values
        return count - 1 - found % count


def _corners(numbers: torch.Tensor, order: str) -> torch.Tensor:
    """Return xmin, ymin, xmax, ymax, [n, 4, k]."""
    if order == "xyxy":
        return numbers
    if order == "yxyx":
        return numbers[:, [1, 0, 3, 2]]
    first, size = numbers[:, :2], numbers[:, 2:]
    if order == "xywh":
        return torch.cat([first, first + size], dim=1)
    half = size / 2
    return torch.cat([first - half, first + half], dim=1)


def _suppressed(
    boxes: torch.Tensor, classes: torch.Tensor | None, valid: torch.Tensor, most: float
) -> torch.Tensor:
    """Return which boxes stay, [n, k], by non-maximum suppression.

    A box stays if no better one that stays overlaps it. That is repeated for all boxes at once,
    which gives the same as one after the other when nothing changes any more.

    Args:
        boxes: [n, 4, k], the best first.
        classes: [n, k]; None: all boxes suppress each other.
        valid: [n, k], which are boxes at all.
        most: the largest overlap: intersection over union.
    """
    count = valid.shape[1]
    missing = -count % WORD
    boxes, keep = nn.functional.pad(boxes, (0, missing)), nn.functional.pad(valid, (0, missing))
    # As in the operator of the worker, any two opposite corners are a box.
    left, right = torch.minimum(boxes[:, 0], boxes[:, 2]), torch.maximum(boxes[:, 0], boxes[:, 2])
    top, bottom = torch.minimum(boxes[:, 1], boxes[:, 3]), torch.maximum(boxes[:, 1], boxes[:, 3])
    area = (right - left) * (bottom - top)
    shared = _shared(left, right) * _shared(top, bottom)
    overlap = shared / (area[:, :, None] + area[:, None, :] - shared) > most
    if classes is not None:
        classes = nn.functional.pad(classes, (0, missing))
        overlap = overlap & (classes[:, :, None] == classes[:, None, :])
    places = torch.arange(boxes.shape[2], device=boxes.device)
    overlap = overlap & (places[:, None] < places[None, :])
    # Of each box, the bits of the better ones that overlap it: a round reads 4 MB for 32 images.
    better, all_valid = _packed(overlap), keep
    for _ in range(ROUNDS):
        keep = all_valid & ((better & _packed(keep)[:, :, None]) == 0).all(dim=1)
    return keep[:, :count]


def _shared(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Return the length that every two of k intervals share, [n, k, k] of [n, k]."""
    first = torch.maximum(low[:, :, None], low[:, None, :])
    return (torch.minimum(high[:, :, None], high[:, None, :]) - first).clamp(min=0)


def _packed(bits: torch.Tensor) -> torch.Tensor:
    """Return [n, k / 32, ...] int32 of [n, k, ...] bool: 32 rows in the bits of one number."""
    words = bits.reshape(bits.shape[0], -1, WORD, *bits.shape[2:]).int()
    places = torch.arange(WORD, device=bits.device, dtype=torch.int32)
    shifted = torch.bitwise_left_shift(words, places.reshape(-1, *[1] * (bits.dim() - 2)))
    return shifted.sum(dim=2, dtype=torch.int32)


def _first(rows: torch.Tensor, keep: torch.Tensor, most: int) -> torch.Tensor:
    """Return the first `most` kept rows, [n, most, 6] of [n, k, 6]; the others are 0."""
    place = torch.cumsum(keep.int(), dim=1) - 1
    place = torch.where(keep & (place < most), place, torch.full_like(place, most))
    found = torch.zeros((rows.shape[0], most + 1, COLUMNS), device=rows.device)
    found = found.scatter(1, place[:, :, None].expand(-1, -1, COLUMNS).long(), rows)
    return found[:, :most]
