"""From the outputs of a stage's model to boxes and classes in pixels of the frame.

The benchmark's own postprocess makes the records. Knows no engine and no stream; pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.base import Frames
from data.tasks.detection import suppression
from data.tasks.detection.boxes import BoxOptions
from sut.video.types import Boxes, boxes_of, no_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.benchmark import Benchmark
    from data.tasks.base import Outputs
    from sut.video.flow.prepare import Fed
    from sut.video.pipeline_file import StageSpec

    Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """What a stage found in one frame.

    Attributes:
        boxes: of a detector those that it found, with the identity of the box whose crop they are
            in. Of a classifier the boxes that it was shown, with its class as label.
        parents: [N] int64: the row of that box in the stage whose crops they are; -1 on frames.
    """

    boxes: Boxes
    parents: NDArray[np.int64]


NOTHING = Found(no_boxes(), np.empty(0, np.int64))


class Answers:
    """Reads the outputs of one stage.

    Args:
        spec: which boxes go on.
        benchmark: what becomes of the outputs.
        pretends: the outputs mean nothing, so the answers are those of `spec.pretend`.
    """

    def __init__(self, spec: StageSpec, benchmark: Benchmark, *, pretends: bool = False) -> None:
        (image,) = benchmark.inputs
        self._height, self._width = image.shape[1:] if image.layout == "NCHW" else image.shape[:2]
        self._postprocess = benchmark.postprocess
        self.detects = isinstance(benchmark.postprocess, BoxOptions)
        self._spec = spec
        self._kept = np.array([spec.classes[name] for name in spec.keep], np.int64)
        self._pretends = pretends

    def load(self) -> None:
        """Load what reading answers needs, so that no frame waits for it."""
        options = self._postprocess
        if isinstance(options, BoxOptions) and options.iou is not None and not self._pretends:
            suppression.load()

    def of_frame(self, outputs: Outputs, fed: Fed) -> Boxes:
        """Return the boxes of a whole frame."""
        return self._boxes(outputs, fed)[0]

    def of_crops(self, outputs: Outputs, fed: Fed, shown: Boxes, rows: NDArray[np.intp]) -> Found:
        """Return what was found in crops.

        Args:
            outputs: [n, ...] each.
            fed: the crops.
            shown: the boxes that were cropped, n of them.
            rows: of these in the stage that found them.
        """
        if not self.detects:
            return Found(replace(shown, label=self._classes(outputs, len(shown))), rows)
        by_crop = self._boxes(outputs, fed)
        counts = [len(boxes) for boxes in by_crop]
        if not sum(counts):
            return NOTHING
        joined = boxes_of(
            np.concatenate([boxes.xyxy for boxes in by_crop]),
            np.concatenate([boxes.score for boxes in by_crop]),
            np.concatenate([boxes.label for boxes in by_crop]),
        )
        return Found(joined.with_identity(np.repeat(shown.identity, counts)), rows.repeat(counts))

    def _classes(self, outputs: Outputs, count: int) -> NDArray[np.int64]:
        if self._pretends:
            return np.zeros(count, np.int64)
        records = self._postprocess.records()(outputs, range(count))
        return np.array([int(record[0]) for record in records], np.int64)

    def _boxes(self, outputs: Outputs, fed: Fed) -> list[Boxes]:
        if self._pretends:
            return [_pretended(self._spec, region) for region in fed.regions]
        frames = Frames(self._height, self._width, fed.places)
        records = self._postprocess.records(frames)(outputs, range(len(fed.places)))
        return [
            self._chosen(record, region)
            for record, region in zip(records, fed.regions, strict=True)
        ]

    def _chosen(self, record: Floats, region: Floats) -> Boxes:
        """Return the boxes of a record that go on; see BoxRecords for its columns."""
        if not len(record):
            return no_boxes()
        left, top, width, height = region
        label = record[:, 6].astype(np.int64)
        goes_on = record[:, 5] >= self._spec.confidence
        if len(self._kept):
            goes_on &= (label[:, None] == self._kept).any(axis=1)  # isin takes 20 us
        record, label = record[goes_on], label[goes_on]
        sides: Sequence[Floats] = (
            record[:, 2] * width + left,
            record[:, 1] * height + top,
            record[:, 4] * width + left,
            record[:, 3] * height + top,
        )
        return boxes_of(np.stack(sides, axis=1), record[:, 5].copy(), label)


def _pretended(spec: StageSpec, region: Floats) -> Boxes:
    """Return as many equal boxes as the stage pretends to find, side by side in a region."""
    count = spec.pretend.boxes
    left, top, width, height = region.tolist()
    step = width / max(1, count)
    x = left + step * np.arange(count, dtype=np.float32)
    xyxy = np.stack(
        [x, np.full(count, top), x + step, np.full(count, top + height)], axis=1
    ).astype(np.float32)
    first = min(spec.classes.values(), default=0)
    return boxes_of(xyxy, np.ones(count, np.float32), np.full(count, first, np.int64))
