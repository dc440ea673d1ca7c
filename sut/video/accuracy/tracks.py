"""The objects of a stream, frame by frame, and the text files of MOTChallenge that hold them.

A line has frame (from 1), identity, left, top, width, height, confidence, and up to three more
numbers: a place in the world, a class and a visibility, or -1. In ours they are the class, -1, -1;
boxes of other files have no class. Source: Leal-Taixe et al., MOTChallenge 2015, arXiv:1504.01942.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import DataError
from sut.base.files import write_whole
from sut.video.types import NO_IDENTITY, Boxes, no_boxes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_LEAST_COLUMNS, _COLUMNS = 7, 10
_LABEL, _AFTER = 7, slice(8, 10)
_MOST = 2**53  # whole numbers that a float64 holds exactly


@dataclass(frozen=True, slots=True)
class Tracks:
    """What a stream held.

    Attributes:
        frames: the boxes of a frame, by its number from 0; a frame that is missing has none.
        count: how many frames the stream has.
        has_labels: the boxes have classes; else all labels are 0.
    """

    frames: Mapping[int, Boxes] = field(default_factory=dict)
    count: int = 0
    has_labels: bool = True

    def at(self, number: int) -> Boxes:
        """Return the boxes of a frame."""
        return self.frames.get(number) or no_boxes()

    def as_labelled_as(self, truth: Tracks) -> Tracks:
        """Return these boxes, without classes if a truth has none."""
        if truth.has_labels:
            return self
        plain = {
            number: replace(boxes, label=np.zeros(len(boxes), np.int64))
            for number, boxes in self.frames.items()
        }
        return Tracks(plain, self.count, has_labels=False)


def write_tracks(path: Path, tracks: Tracks) -> None:
    """Write the boxes that have an identity as a text file of MOTChallenge, class in column 8.

    Raises:
        OSError: it cannot be written.
    """
    lines = [
        f"{number + 1},{identity},{x:.3f},{y:.3f},{right - x:.3f},{bottom - y:.3f},{score:.4f},"
        f"{label},-1,-1\n"
        for number, boxes in sorted(tracks.frames.items())
        for (x, y, right, bottom), score, label, identity in zip(
            boxes.xyxy.tolist(),
            boxes.score.tolist(),
            boxes.label.tolist(),
            boxes.identity.tolist(),
            strict=True,
        )
        if identity != NO_IDENTITY
    ]
    write_whole({path: "".join(lines)})


def read_tracks(path: Path, count: int | None = None) -> Tracks:
    """Read a text file of MOTChallenge: ground truth, or what a tracker gave.

    A line with a confidence of 0 is no object to find, and is left out; a negative confidence means
    that there is none, and counts as 1.

    Args:
        path: of the file.
        count: frames of the stream; None: up to the last one in the file.

    Raises:
        DataError: the file cannot be read; a line has other columns, no number, a frame that the
            stream does not have, or an identity that its frame has already.
    """
    rows, numbers = _rows(path)
    if len(rows) == 0:
        return Tracks({}, count or 0)
    frame = rows[:, 0].astype(np.int64) - 1
    identity = rows[:, 1].astype(np.int64)
    length = int(frame.max()) + 1
    if count is not None and length > count:
        place = numbers[int(frame.argmax())]
        raise DataError(f"{path}:{place}: frame {length}; expected 1 to {count}, as in the clip.")
    pairs, first = np.unique(np.stack([frame, identity], 1), axis=0, return_index=True)
    if len(pairs) < len(rows):
        place = min(set(range(len(rows))) - set(first.tolist()))
        raise DataError(
            f"{path}:{numbers[place]}: frame {frame[place] + 1} has the identity {identity[place]} "
            "twice; expected each object once a frame."
        )
    labels = rows[:, _LABEL].astype(np.int64)
    has_labels = bool((labels >= 0).all() and (rows[:, _AFTER] == -1).all())
    confidence = rows[:, 6]
    counts = confidence != 0
    whole = Boxes(
        np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32),
        np.where(confidence < 0, 1.0, confidence).astype(np.float32),
        labels if has_labels else np.zeros_like(labels),
        identity,
    )
    found = {int(k): whole.take(counts & (frame == k)) for k in np.unique(frame)}
    return Tracks(found, length if count is None else count, has_labels)


def _rows(path: Path) -> tuple[NDArray[np.float64], list[int]]:
    """Return the numbers of each line, [n, 10], and the lines' numbers in the file."""
    rows, numbers = [], []
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}. It should be a text file of MOTChallenge.") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            rows.append(_row(line, f"{path}:{number}"))
            numbers.append(number)
    return np.array(rows, np.float64).reshape(-1, _COLUMNS), numbers


def _row(line: str, where: str) -> list[float]:
    words = line.split(",")
    try:
        row = [float(word) for word in words]
    except ValueError as error:
        raise DataError(f"{where}: {error}; expected numbers between commas.") from error
    if len(row) < _LEAST_COLUMNS:
        raise DataError(
            f"{where}: {len(row)} columns; expected frame, identity, left, top, width, height and "
            "confidence, and up to three more."
        )
    row = [*row, *[0.0] * _COLUMNS][:_COLUMNS]
    if not all(abs(value) < _MOST for value in row):
        raise DataError(f"{where}: a number is not finite, or too large.")
    frame, identity, _, _, width, height = row[:6]
    if frame < 1 or frame != int(frame) or identity < 0 or identity != int(identity):
        raise DataError(
            f"{where}: frame {frame:g}, identity {identity:g}; expected whole numbers, the frame "
            "from 1, the identity from 0."
        )
    if width < 0 or height < 0:
        raise DataError(f"{where}: a box of {width:g} x {height:g}; expected no negative side.")
    return row
