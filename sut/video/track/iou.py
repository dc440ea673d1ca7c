"""The preset max_perf: objects overlap themselves from frame to frame, and move steadily.

Each object moves with constant velocity. A detection belongs to the object whose predicted place it
overlaps most; the best pairs are taken first. It looks at no pixel and keeps no other state, so it
costs a fraction of a millisecond (`make bench-tracker`). After Bochinski et al., High-Speed
Tracking-by-Detection Without Using Image Information, AVSS 2017.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sut.video.track.overlap import inside, overlaps
from sut.video.types import NO_IDENTITY, Boxes, no_boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.video.types import Pixels

    Integers = NDArray[np.int64]
    Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class IouParameters:
    """What max_perf may be told.

    Attributes:
        least_overlap: intersection over union, above 0, from which a box may be a known object if
            the frame before was inferred; k frames later it is a k-th of that.
        first_score: from which a box begins a new object; a lower one only continues a known one.
        keep_s: how long an object that is no longer detected keeps its identity, in seconds.
        velocity_gain: the share of a newly measured velocity in an object's, above 0 to 1; noisy
            boxes want less.
    """

    least_overlap: float = 0.3
    first_score: float = 0.0
    keep_s: float = 1.0
    velocity_gain: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            ValueError: a number is out of range.
        """
        if not 0 < self.least_overlap <= 1:
            raise ValueError(f"least_overlap is {self.least_overlap}; expected above 0, at most 1")
        if not 0 <= self.first_score <= 1:
            raise ValueError(f"first_score is {self.first_score}; expected 0 to 1")
        if not 0 <= self.keep_s < np.inf:
            raise ValueError(f"keep_s is {self.keep_s}; expected 0 or more")
        if not 0 < self.velocity_gain <= 1:
            raise ValueError(f"velocity_gain is {self.velocity_gain}; expected above 0, at most 1")


@dataclass(slots=True)
class _Objects:
    """The known objects, in rows that belong together; velocities are pixels a frame.

    `age` counts frames since the last detection. `moved` says whether a velocity was measured,
    `lost` whether the last inference did not find the object.
    """

    boxes: Boxes = field(default_factory=no_boxes)
    velocity: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))
    age: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    moved: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    lost: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def predicted(self) -> NDArray[np.float32]:
        places: NDArray[np.float32] = self.boxes.xyxy + self.velocity * self.age[:, None].astype(
            np.float32
        )
        return places


class IouTracker:
    """Gives identities from 0, in order of appearance.

    Args:
        parameters: see there.
        frame_rate: frames a second of the stream.
        preset: as the user wrote it.
    """

    sees_pixels = False

    def __init__(
        self, parameters: IouParameters, frame_rate: float, preset: str = "max_perf"
    ) -> None:
        self._preset = preset
        self._parameters = parameters
        self._most_age = round(parameters.keep_s * frame_rate)
        self._objects = _Objects()
        self._next = 0
        self._since = 0  # frames since the last inference

    def describe(self) -> dict[str, object]:
        """See sut.video.types.Tracker."""
        return {
            "preset": self._preset,
            "algorithm": "iou",
            "parameters": asdict(self._parameters),
        }

    def update(self, boxes: Boxes | None, pixels: Pixels) -> Boxes:
        """See sut.video.types.Tracker; a box that may not begin an object has no identity."""
        known = self._objects
        known.age += 1
        self._since += 1
        if boxes is None:
            shown = ~known.lost
            there = known.boxes.take(shown)
            moved = Boxes(known.predicted()[shown], there.score, there.label, there.identity)
            return inside(moved, pixels.size)
        rows, columns = self._matches(boxes, self._parameters.least_overlap / self._since)
        self._since = 0
        identity = np.full(len(boxes), NO_IDENTITY, np.int64)
        identity[columns] = known.boxes.identity[rows]
        is_new = (identity == NO_IDENTITY) & (boxes.score >= self._parameters.first_score)
        new = is_new.nonzero()[0]
        identity[new] = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        found = boxes.with_identity(identity)
        self._objects = self._advanced(found, rows, columns, new)
        return found

    def _matches(self, boxes: Boxes, least_overlap: float) -> tuple[Rows, Rows]:
        """Return rows of known objects and of boxes that belong together."""
        known = self._objects
        shares = overlaps(known.predicted(), boxes.xyxy)
        shares[known.boxes.label[:, None] != boxes.label[None]] = 0
        rows, columns = (shares >= least_overlap).nonzero()
        best_first = (-shares[rows, columns]).argsort(kind="stable")
        pairs: dict[int, int] = {}
        taken: set[int] = set()
        for row, column in zip(
            rows[best_first].tolist(), columns[best_first].tolist(), strict=True
        ):
            if row not in pairs and column not in taken:
                pairs[row] = column
                taken.add(column)
        return np.array(list(pairs), np.intp), np.array(list(pairs.values()), np.intp)

    def _advanced(self, found: Boxes, rows: Rows, columns: Rows, new: Rows) -> _Objects:
        """Return the objects after an inference: those found, new ones, lost ones still kept."""
        known = self._objects
        measured = (found.xyxy[columns] - known.boxes.xyxy[rows]) / known.age[rows, None]
        # The first measured velocity counts in full: there is no older one to smooth it with.
        gain = np.where(known.moved[rows], self._parameters.velocity_gain, 1.0)[:, None]
        velocity = known.velocity[rows] + gain * (measured - known.velocity[rows])
        is_lost = known.age <= self._most_age
        is_lost[rows] = False
        lost = is_lost.nonzero()[0]
        if not (len(new) or len(lost)):  # as mostly: a third of the time is to join nothing
            count = len(columns)
            return _Objects(
                found.take(columns),
                velocity.astype(np.float32),
                np.zeros(count, np.int64),
                np.ones(count, np.bool_),
                np.zeros(count, np.bool_),
            )
        parts = (found.take(columns), found.take(new), known.boxes.take(lost))
        joined = Boxes(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("xyxy", "score", "label", "identity")
            )
        )
        seen = len(columns) + len(new)
        return _Objects(
            joined,
            np.concatenate(
                [velocity, np.zeros((len(new), 4)), known.velocity[lost]], dtype=np.float32
            ),
            np.concatenate([np.zeros(seen, np.int64), known.age[lost]]),
            np.concatenate(
                [np.ones(len(columns), bool), np.zeros(len(new), bool), known.moved[lost]]
            ),
            np.arange(seen + len(lost)) >= seen,
        )
