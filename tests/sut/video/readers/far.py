"""Sources for processes of readers, which find them here by name."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError, DataError
from sut.video.sources.absent import Absent
from sut.video.track.presets import open_tracker
from tests.sut.video.made import HEIGHT, RATE, WIDTH, frames, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sut.video.sources.base import Picture, Source
    from sut.video.sources.memory import Frames
    from sut.video.types import Boxes, Pixels


def walks(count: int, *streams: int) -> list[Source]:
    """Return a walk of each stream."""
    return [frames(walk(count, stream)) for stream in streams]


class Wrong:
    """A source that ends in an error, or in silence, after some frames."""

    def __init__(self, good: Frames, *, stalls: bool) -> None:
        self.facts, self.notes = good.facts, good.notes
        self._good, self._stalls = good, stalls

    def pictures(self) -> Iterator[Picture]:
        yield from self._good.pictures()
        if self._stalls:
            threading.Event().wait()
        self.notes.append("made: 2 packets are damaged")
        raise DataError("made: frame 3: damaged.")

    def close(self) -> None:
        """Nothing is open."""


def breaks_and_stalls(good: int) -> list[Source]:
    """Return a source that breaks after 3 frames, one that stalls after 2, and one of `good`."""
    return [
        Wrong(frames(walk(3)), stalls=False),
        Wrong(frames(walk(2)), stalls=True),
        frames(walk(good)),
    ]


def odd() -> list[Source]:
    """Return frames that no step makes as large as the model wants them."""
    return [frames([np.zeros((HEIGHT + 1, WIDTH - 3, 3), np.uint8)] * 3)]


def growing() -> list[Source]:
    """Return a clip whose second frame is larger than it promised."""
    source = frames([*walk(2), *walk(1)])
    small = replace(source.facts, width=WIDTH // 2)
    source.facts = small
    return [source]


def camera(count: int) -> list[Source]:
    """Return a source that cannot be made to wait."""
    source = frames(walk(count))
    source.facts = replace(source.facts, live=True)
    return [source]


def nobody_there(reached: int) -> list[Source]:
    """Return an address that could not be opened, and streams that could."""
    absent = Absent("rtsp://u:secret@cam/1", ConfigError("--source rtsp://u:***@cam/1: no answer."))
    return [absent, *walks(4, *range(reached))]


def fails() -> list[Source]:
    """Raise what nobody wrote a message for."""
    raise KeyError("made")


def count_of(sources: Sequence[Source], more: int) -> tuple[int, int]:
    """Return the number of sources, with some more, and the process."""
    return len(sources) + more, os.getpid()


class Writes:
    """A tracker that writes the boxes of each frame into a file, and finds what another one does.

    Args:
        path: of the file.
        preset: of the other one.
        fails_at: the frame at which it raises.
    """

    sees_pixels = False

    def __init__(self, path: Path, preset: str, fails_at: int = -1) -> None:
        self._path, self._fails_at = path, fails_at
        self._tracker = open_tracker(preset, RATE)
        self._frames = 0

    def update(self, boxes: Boxes | None, pixels: Pixels) -> Boxes:
        if self._frames == self._fails_at:
            raise ValueError("made: no more")
        self._frames += 1
        found = self._tracker.update(boxes, pixels)
        with self._path.open("a") as file:
            told = found.xyxy, found.score, found.label, found.identity
            file.write(f"{[part.tolist() for part in told]}\n")
        return found

    def describe(self) -> Mapping[str, object]:
        return self._tracker.describe()


class StaysBehind(Writes):
    """One that travels and is not found where it comes."""

    def __reduce__(self) -> tuple[object, ...]:
        return only_in, (os.getpid(),)


class StaysHere(Writes):
    """One that does not travel."""

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("made: stays here")


class OnlyHere:
    """What travels and is not found where it comes."""

    def __reduce__(self) -> tuple[object, ...]:
        return only_in, (os.getpid(),)

    def __call__(self) -> list[Source]:
        return []


def only_in(process: int) -> OnlyHere:
    """Return one in the process where it was made."""
    if os.getpid() != process:
        raise LookupError("made: not here")
    return OnlyHere()
