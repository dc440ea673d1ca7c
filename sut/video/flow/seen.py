"""What is known of one frame at the end of the pipeline, and who gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.video.flow.answers import Found
    from sut.video.types import Boxes, Frame


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame and all that was found in it.

    Attributes:
        frame: itself.
        inferred: the first stage ran on it; else its boxes are the tracker's alone.
        boxes: of the first stage, after the tracker.
        found: of each later stage that ran, by its name.
    """

    frame: Frame
    inferred: bool
    boxes: Boxes
    found: Mapping[str, Found]


class Sink(Protocol):
    """Gets every frame that came through; those of a stream in order, by one thread at a time.

    Frames of different streams come at the same time. Pixels are those of the frame until `frame`
    returns: a reader's process then uses their memory again.

    Attributes:
        sees_pixels: it looks at the pixels of frames.
        sees_frames: it looks at frames at all.
    """

    sees_pixels: bool
    sees_frames: bool

    def frame(self, seen: Seen) -> None:
        """Take a frame; the pipeline waits for it."""

    def close(self) -> list[str]:
        """Finish what is written; return the names of the files."""


class NullSink:
    """Throws every frame away: the pipeline without a picture."""

    sees_pixels = sees_frames = False

    def frame(self, seen: Seen) -> None:
        """See Sink."""

    def close(self) -> list[str]:
        """See Sink."""
        return []
