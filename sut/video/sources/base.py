"""The contract of a source of frames. A source belongs to one stream and one thread.

Knows no stream, no pace and no pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.types import Size

NETWORK_RATE = 30.0  # frames/s of a stream that does not say its own


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that is decoded, and not yet in RGB: one that is dropped never is.

    Attributes:
        pts_s: its time in the clip, in seconds, from 0 at the first frame; it never goes back.
        image: makes [H, W, 3] uint8, RGB, upright; called once at most, and before the next picture
            unless there is a size.
        size: width and height, upright, of a picture that waits for `image`; None: it does not.
        scaled: makes the same picture of another size in one step, [h, w, 3]; None: it cannot.
        came_ns: when it came over a network, on time.monotonic_ns(); None: it was there before.
        due_ns: when it would have come had nothing held it back; None: when it came.
    """

    pts_s: float
    image: Callable[[], NDArray[np.uint8]]
    came_ns: int | None = None
    due_ns: int | None = None
    size: Size | None = None
    scaled: Callable[[Size], NDArray[np.uint8]] | None = None


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip says of itself.

    Attributes:
        name: as the user gave it.
        codec: such as h264; "raw" for frames in memory, "images" for a folder of them.
        width: of an upright frame, in pixels.
        height: likewise.
        rate: frames a second, on average.
        frames: as the container says; None: it does not.
        rotation: degrees counter-clockwise that make a frame upright: 0, 90, 180 or 270.
        variable: the container's average and nominal rates differ.
        live: it comes over a network: nobody can make it faster, or play it again.
        decoder: what decodes it, such as "PyAV 18.1.0 on the CPU".
    """

    name: str
    codec: str
    width: int
    height: int
    rate: float
    frames: int | None
    rotation: int = 0
    variable: bool = False
    live: bool = False
    decoder: str = ""


class Source(Protocol):
    """Frames of one stream.

    Attributes:
        facts: of its clip.
        notes: what was wrong with the clip so far, a line each; the frames go on.
    """

    facts: ClipFacts
    notes: list[str]

    def pictures(self) -> Iterator[Picture]:
        """Yield all frames once, in the order in which they are shown; call it again to repeat.

        Raises:
            DataError: nothing more can be read; the message names the clip and the frame.
        """

    def close(self) -> None:
        """Free the decoder; no thread is inside `pictures`."""


def stalls(name: str, stall_s: float) -> str:
    """Return what is said of a source that owes a frame for too long."""
    return f"{name}: it stalls: no frame for {stall_s:g} s. See its sender, or raise --stall-s."
