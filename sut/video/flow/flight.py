"""A frame on its way: what was found in it, and where its time went.

The parts of a frame's time follow each other without a gap, from its due time to the return of the
sink. Each ends where its actor says: a reader, an engine, or the strand of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.video.types import Boxes, no_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.flow.answers import Found
    from sut.video.flow.prepare import Fed
    from sut.video.types import Frame

SOURCE, DECODE = "source", "decode"
HAND_OVER = "hand-over"  # from the reader to the streams; from another process it takes a while
SINK_WAIT, SINK = "sink wait", "sink"
TRACK = "track"
# Parts of each stage: its input is made, waits for its batch, is inferred, and its answer waits for
# a thread and for the stream's earlier frames, and is read.
PREPARE, QUEUE, INFER, WAIT, READ = range(5)
_OF_STAGE = ("prepare", "queue", "infer", "wait", "read")


@dataclass(frozen=True, slots=True)
class PartNames:
    """The parts of a pipeline's frames, in the order in which they follow each other.

    But the hand-over, which comes last here, follows the first stage's prepare.

    Attributes:
        stages: names of the stages.
        all: names of the parts.
    """

    stages: tuple[str, ...]
    all: tuple[str, ...]

    @classmethod
    def of(cls, stages: Sequence[str]) -> PartNames:
        """Return the parts of a pipeline with these stages."""
        parts = [SOURCE, DECODE]
        for place, stage in enumerate(stages):
            parts += [f"{stage} {part}" for part in _OF_STAGE]
            parts += [] if place else [TRACK]
        return cls(tuple(stages), (*parts, SINK_WAIT, SINK, HAND_OVER))

    def index(self, name: str) -> int:
        """Return the place of a part that belongs to no stage."""
        return self.all.index(name)

    def of_stage(self, place: int, part: int) -> int:
        """Return the place of a part of a stage, by the stage's place."""
        first = len((SOURCE, DECODE)) + place * len(_OF_STAGE) + bool(place)
        return first + part


class Flight:
    """One frame that is taken. Only its reader, then only the strand of its stream, touches it.

    Attributes:
        frame: itself.
        taken: its place among those that are taken.
        inferred: the first stage runs on it.
        parts_ns: time of each part so far.
        tracked: its boxes after the tracker.
        found: what each later stage found, by the stage's name.
        fed: what the stage that runs now was given.
        shown: the boxes whose crops that are, and their rows in the stage that found them.
    """

    __slots__ = (
        *("_last_ns", "fed", "found", "frame", "inferred", "parts_ns", "shown", "taken", "tracked"),
    )

    def __init__(self, frame: Frame, taken: int, parts: int, *, inferred: bool) -> None:
        self.frame, self.taken = frame, taken
        self.inferred = inferred
        self.parts_ns = [0] * parts
        self.tracked: Boxes = no_boxes()
        self.found: dict[str, Found] = {}
        self.fed: Fed | None = None
        self.shown: tuple[Boxes, NDArray[np.intp]]
        self._last_ns = frame.due_ns

    def mark(self, part: int, at_ns: int) -> None:
        """Say that a part ended at `at_ns`, and the next one begins."""
        self.parts_ns[part] += at_ns - self._last_ns
        self._last_ns = at_ns
