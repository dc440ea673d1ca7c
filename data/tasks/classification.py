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

    from data.tasks.base import Outputs

METRIC = "top1"
_SCORES = 2  # axes of [n, classes]
_RECORD_BYTES = 4  # one float32
_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


class ArgMax(Postprocess, frozen=True, tag="argmax"):
    """The best class as one float32; `class_offset` -1 for models with a background class 0."""

    comparable: ClassVar[bool] = True

    class_offset: int = 0

    def records(self) -> ArgMaxRecords:
        """Return the function from scores or classes to records of one class."""
        return ArgMaxRecords(self.class_offset)


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
        if scores.ndim == _SCORES and len(scores) == n and scores.dtype.kind == "f":
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
        if scores.ndim == _SCORES and not _is_classes(scores):
            scores = scores.argmax(axis=1)
        elif scores.ndim > _SCORES or scores.dtype.kind not in "iu":
            raise EngineError(
                f"output 0 has shape {list(outputs[0].shape)} and dtype {scores.dtype}; expected "
                "[n, classes] scores or integer classes. Name the right output in the benchmark."
            )
        classes = np.empty((n, 1), np.float32)
        classes[:, 0] = scores.reshape(n)
        if self.class_offset:
            classes += self.class_offset
        return classes


def _is_classes(scores: NDArray[np.generic]) -> bool:
    return scores.shape[1] == 1 and scores.dtype.kind in "iu"


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
        raise DataError(f"{where}: label {label}; expected {expected}.")
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
    postprocesses=(ArgMax,),
    metric=METRIC,
    judge=JUDGE,
    stands_for="resnet",
)
