"""Image classification: the best class of each sample, judged as accuracy-imagenet.py does.

Source: mlcommons/inference, vision/classification_and_detection/tools/accuracy-imagenet.py: the
divisor is the number of samples seen.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data.tasks.base import Judge, Postprocess, Score, Task
from sut.base.errors import DataError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs

METRIC = "top1"
_SCORES = 2  # axes of [n, classes]
_SCORE_BYTES = 2  # the widest integers that are scores
_RECORD_BYTES = 4  # one float32
_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


class ArgMax(Postprocess, frozen=True, tag="argmax"):
    """The best class as one float32; `class_offset` -1 for models with a background class 0."""

    comparable: ClassVar[bool] = True

    class_offset: int = 0

    def records(self, frames: Frames | None = None) -> ArgMaxRecords:
        """Return the function from scores or classes to records of one class."""
        return ArgMaxRecords(self.class_offset)

    def classes(self, shape: Sequence[int | None]) -> int | None:
        """See Postprocess."""
        sizes = [size for size in shape if size != 1]
        return sizes[0] if len(sizes) == 1 else None

    def check_labels(
        self, labels: Sequence[int], declared: int | None, classes: int, where: str
    ) -> None:
        """See Postprocess."""
        low, high = self.class_offset, self.class_offset + classes - 1
        first, last = min(labels), max(*labels, (declared or 0) - 1)
        if low <= first and last <= high:
            return
        raise DataError(
            f"{where}: labels are {first} to {last}, but the model's {classes} classes with "
            f"class_offset {self.class_offset} are {low} to {high}. "
            f"{_remedy(first, last, classes, self.class_offset)}"
        )


def _remedy(first: int, last: int, classes: int, offset: int) -> str:
    """Return what to do about labels that are outside the classes of a model."""
    if first >= 0 and last < classes:
        return "Leave out postprocess.class_offset."
    if first >= 1 and last == classes:
        return "If labels count from 1, set postprocess.class_offset to 1, or subtract 1 from each."
    if offset:
        return "Check postprocess.class_offset and the labels."
    return "Check the labels, or name the model that they belong to."


class Threshold(Postprocess, frozen=True, tag="threshold"):
    """Class 1 for a score above `at`, else class 0, for models with one score for each sample.

    Attributes:
        at: 0.5 for a probability, as a sigmoid gives; 0 for a logit.
    """

    comparable: ClassVar[bool] = True

    at: float = 0.5

    def records(self, frames: Frames | None = None) -> ThresholdRecords:
        """Return the function from scores to records of one class."""
        return ThresholdRecords(self.at)

    def classes(self, shape: Sequence[int | None]) -> int | None:
        """See Postprocess."""
        return 2

    def check_labels(
        self, labels: Sequence[int], declared: int | None, classes: int, where: str
    ) -> None:
        """See Postprocess."""
        last = max(labels)
        if last >= classes:
            raise DataError(
                f"{where}: labels go up to {last}; expected 0 and 1, because postprocess threshold "
                "has two classes. Count labels from 0, or use postprocess argmax."
            )


@dataclass(frozen=True, slots=True)
class ThresholdRecords:
    """Class 1 above a threshold, else class 0: [n, 1] float32. Takes [n], [n, 1], [n, 1, 1]."""

    at: float

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return the classes of a batch.

        Raises:
            EngineError: the first output has not one score for each sample.
        """
        scores, n = outputs[0], len(indices)
        if scores.size != n or scores.dtype.kind != "f":
            raise EngineError(
                f"output 0 has shape {list(scores.shape)} and dtype {scores.dtype}; expected one "
                "score for each sample, [n, 1] float. Use postprocess argmax for several."
            )
        return np.greater(scores.reshape(n, 1), self.at).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ArgMaxRecords:
    """The best class, plus `class_offset`: [n, 1] float32.

    Takes [n, classes], [n, classes, 1, 1], or integer classes that the model chose itself.
    """

    class_offset: int

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return the classes of a batch; the first class with the highest score.

        Raises:
            EngineError: the first output has another shape, or not one row for each sample.
        """
        scores, n = outputs[0], len(indices)
        shape = scores.shape
        if len(shape) == _SCORES and shape[0] == n and shape[1] > 1 and scores.dtype.kind == "f":
            # The output of nearly every model. Each further step costs 10 us after a large model.
            best: NDArray[np.float32] = scores.argmax(axis=1, keepdims=True).astype(np.float32)
            if self.class_offset:
                best += self.class_offset
            return best
        if not scores.ndim or scores.shape[0] != n:
            raise EngineError(
                f"output 0 has shape {list(scores.shape)}; expected {n} rows, one a sample."
            )
        if scores.ndim > _SCORES:
            scores = scores.reshape(n, *[size for size in scores.shape[1:] if size != 1])
        if _are_scores(scores):
            scores = scores.argmax(axis=1)
        elif scores.size != n or scores.dtype.kind not in "iu":
            raise EngineError(
                f"output 0 has shape {list(shape)} and dtype {scores.dtype}; expected [n, classes] "
                f"scores or integer classes. {_other_output(scores, n)}"
            )
        classes = np.empty((n, 1), np.float32)
        classes[:, 0] = scores.reshape(n)
        if self.class_offset:
            classes += self.class_offset
        return classes


def _are_scores(output: NDArray[np.generic]) -> bool:
    """Say whether the largest number of a row is the best class.

    Integers are scores only in one or two bytes, as quantized models have them. Wider ones in a row
    are indices, as TopK gives them, and the largest index is not the best class.
    """
    if output.ndim != _SCORES or output.shape[1] == 1:
        return False
    kind, width = output.dtype.kind, output.dtype.itemsize
    return kind == "f" or (kind in "iu" and width <= _SCORE_BYTES)


def _other_output(output: NDArray[np.generic], n: int) -> str:
    """Return what to do about an output whose best class cannot be told."""
    if output.size == n and output.dtype.kind == "f":
        return (
            "For one score a sample use postprocess threshold: `at: 0.5` for a probability, "
            "`at: 0` for a logit."
        )
    return "Name the output with the scores in the benchmark's `output`."


def read_label(text: str, classes: int | None, where: str) -> int:
    """Return the class in `text`.

    Raises:
        DataError: it is not a whole number from 0 to classes - 1.
    """
    expected = f"0 to {classes - 1}" if classes else "0 or above"
    if not (text.isascii() and text.isdigit()):
        raise DataError(f'{where}: label "{text}"; expected a whole number, {expected}.')
    label = int(text)
    if classes and label >= classes:
        raise DataError(
            f"{where}: label {label}; expected {expected}. Labels count from 0: if yours count "
            "from 1, subtract 1 from each."
        )
    return label


def read_answer(record: bytes, where: str) -> int:
    """Return the class in a record of one float32, cut to an integer as MLPerf's script does.

    Raises:
        DataError: the record has another size, or holds no number.
    """
    if len(record) != _RECORD_BYTES:
        raise DataError(
            f"{where}: {len(record)} bytes of data; expected {_RECORD_BYTES}, one float32 class."
        )
    (value,) = struct.unpack("<f", record)
    if not math.isfinite(value):
        raise DataError(f"{where}: the class is {value}; expected a number.")
    return int(value)


def score(answers: Mapping[int, int], labels: Sequence[int]) -> Score:
    """Return the share of answers that are the label, with its 95 % Wilson interval."""
    n = len(answers)
    good = sum(labels[index] == answer for index, answer in answers.items())
    return Score(
        metric=METRIC,
        value=good / n,
        n=n,
        good=good,
        interval_95=wilson_interval(good, n),
        line=f"accuracy={100.0 * good / n:.3f}%, good={good}, total={n}",
        finding=_shifted(answers, labels, good) or _apart(answers, labels),
    )


def _shifted(answers: Mapping[int, int], labels: Sequence[int], good: int) -> str | None:
    """Say so if the answers fit the labels much better after a shift by one class."""
    n = len(answers)
    found = {
        shift: sum(labels[index] == answer + shift for index, answer in answers.items())
        for shift in (-1, 1)
    }
    shift = max(found, key=lambda shift: found[shift])
    if wilson_interval(found[shift], n)[0] <= wilson_interval(good, n)[1]:
        return None
    side = "above" if shift < 0 else "below"
    return (
        f"{found[shift]} of {n} answers are one {side} the label, and {good} are right: change "
        f"postprocess.class_offset by {shift:+d} (-1 skips a background class 0), or correct the "
        "labels."
    )


def _apart(answers: Mapping[int, int], labels: Sequence[int]) -> str | None:
    """Say so if no answer can be a label, such as a score of 8 bits that is taken for a class."""
    first, last = min(answers.values()), max(answers.values())
    right = [labels[index] for index in answers]
    if first <= max(right) and min(right) <= last:
        return None
    return (
        f"the answers are {first} to {last}, and the labels {min(right)} to {max(right)}: check "
        "postprocess, the benchmark's `output`, and the labels."
    )


def wilson_interval(good: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of good / n, n > 0 (Wilson 1927)."""
    p, z2 = good / n, _Z95 * _Z95
    center = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At both ends the formula gives 0 and 1, except for rounding.
    return center - half if good else 0.0, center + half if good < n else 1.0


JUDGE = Judge(read_label, read_answer, score)
TASK = Task(
    name="classification",
    postprocesses=(ArgMax, Threshold),
    metric=METRIC,
    judge=JUDGE,
    stands_for="resnet",
)
