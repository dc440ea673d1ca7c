"""From a model's candidates to the boxes that LoadGen logs, as a benchmark file describes it.

What all kinds of box postprocess share. A kind gives the candidates. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from data.strict_yaml import Positive
from data.tasks.base import Postprocess
from data.tasks.detection.categories import TABLES, Table
from data.tasks.detection.suppression import Limits, suppress
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs
    from data.tasks.detection.geometry import Candidates

    Floats = NDArray[np.float32]

Share = Annotated[float, Meta(ge=0, le=1)]
Index = Annotated[int, Meta(ge=0)]
Activation = Literal["none", "sigmoid", "softmax"]

# sample, ymin, xmin, ymax, xmax, score, category
FIELDS = 7


class BoxOptions(Postprocess, frozen=True, kw_only=True):
    """The options that all kinds share. A kind has its own defaults for some.

    Attributes:
        confidence: boxes with a score up to this are left out.
        iou: of two boxes that overlap more than this, the better one stays (non-maximum
            suppression); None: no box suppresses another.
        class_wise: only boxes of one class suppress each other.
        max_boxes: of an image, the best ones.
        max_candidates: of an image, the best ones, that come to the suppression.
        multi_label: one candidate may be a box of each class; else it is one of its best class.
        activation: what makes scores of the model's numbers.
        background: the class that means "nothing here"; None: there is none.
        clip: boxes are cut at the edges of the image.
        categories: the data set's number for each class without the background, or the name of a
            table; None: the class's own number.
    """

    needs_frames: ClassVar[bool] = True

    confidence: Share = 0.05
    iou: Share | None = 0.5
    class_wise: bool = True
    max_boxes: Positive = 300
    max_candidates: Positive = 30_000
    multi_label: bool = False
    activation: Activation = "none"
    background: Index | None = None
    clip: bool = True
    categories: Table | tuple[int, ...] | None = None

    @property
    def divides(self) -> bool:
        """See Postprocess."""
        return True

    def records(self, frames: Frames | None = None) -> BoxRecords:
        """Return the function from outputs to boxes, [m, 7] float32 for each sample.

        A box is sample, ymin, xmin, ymax, xmax, score, category; its corners are fractions of the
        original image. MLPerf's accuracy-coco.py and accuracy-openimages.py read this.
        """
        assert frames is not None, (
            "a benchmark whose postprocess needs frames has an image as input"
        )
        return BoxRecords(self, frames)

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """Give the candidates of each sample of a batch.

        Args:
            outputs: of the engine.
            n: samples.
            frames: for the size of the input.

        Raises:
            EngineError: an output has another shape than the options say.
        """
        raise NotImplementedError

    def category_of(self) -> Floats | None:
        """Return the category of each class by the class's number, [classes] float32.

        None: it is the number itself.
        """
        if self.categories is None:
            return None
        table = self.categories
        numbers = list(TABLES[table] if isinstance(table, str) else table)
        if self.background is not None:
            # No box is of the background, so its number is never read.
            numbers.insert(min(self.background, len(numbers)), -1)
        return np.array(numbers, np.float32)


@dataclass(frozen=True, slots=True)
class BoxRecords:
    """Boxes as LoadGen logs them: for each sample [m, 7] float32, the best box first."""

    options: BoxOptions
    frames: Frames

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> list[Floats]:
        """Return the boxes of a batch.

        Raises:
            EngineError: an output has another shape, or a class has no category.
        """
        categories = self.options.category_of()
        with np.errstate(over="ignore", invalid="ignore"):  # of boxes that no image can have
            found = self.options.candidates(outputs, len(indices), self.frames)
            return [
                self._record(index, candidates, categories)
                for index, candidates in zip(indices, found, strict=True)
            ]

    def _record(self, index: int, found: Candidates, categories: Floats | None) -> Floats:
        kept = self._kept(found)
        scale_y, scale_x, offset_y, offset_x = self.frames.of(index)
        record = np.empty((len(kept), FIELDS), np.float32)
        boxes = found.boxes[kept]
        record[:, 0] = index
        record[:, 1] = boxes[:, 1] * scale_y + offset_y
        record[:, 2] = boxes[:, 0] * scale_x + offset_x
        record[:, 3] = boxes[:, 3] * scale_y + offset_y
        record[:, 4] = boxes[:, 2] * scale_x + offset_x
        if self.options.clip:
            np.clip(record[:, 1:5], 0, 1, out=record[:, 1:5])
        record[:, 5] = found.scores[kept]
        record[:, 6] = _categories(found.classes[kept], categories)
        return record

    def _kept(self, found: Candidates) -> NDArray[np.intp]:
        """Return the indices of the boxes that stay, the best first."""
        options = self.options
        if options.iou is None:
            order: NDArray[np.intp] = np.argsort(-found.scores, kind="stable")[: options.max_boxes]
            return order
        classes = found.classes if options.class_wise else None
        reach = 2.0 * max(self.frames.height, self.frames.width)
        limits = Limits(options.iou, options.max_boxes, reach)
        return suppress(found.boxes, found.scores, classes, limits)


def _categories(classes: NDArray[np.intp], categories: Floats | None) -> NDArray[np.intp] | Floats:
    if categories is None or not len(classes):
        return classes
    if classes.max() >= len(categories) or classes.min() < 0:
        wrong = classes.max() if classes.max() >= len(categories) else classes.min()
        raise EngineError(
            f"a box is of class {wrong}; postprocess.categories has numbers for classes 0 to "
            f"{len(categories) - 1}. Correct the table, or postprocess.background."
        )
    return categories[classes]
