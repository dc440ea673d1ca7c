"""Sources for benchmarks, which processes of readers find here by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.video.sources.base import ClipFacts
from sut.video.sources.choose import Decoding, open_each
from sut.video.sources.memory import Frames

if TYPE_CHECKING:
    from sut.video.sources.base import Source

RATE = 30.0


def made_up(side: int, streams: int) -> list[Source]:
    """Return sources whose frames lie in memory and have the size of the first input."""
    images = [np.full((side, side, 3), shade, np.uint8) for shade in range(4)]
    count = round(10 * RATE)
    facts = ClipFacts("made up", "raw", side, side, RATE, count, decoder="none")
    kept = [(number / RATE, images[number % len(images)]) for number in range(count)]
    return [Frames(facts, kept) for _ in range(streams)]


def clips(path: str, streams: int) -> list[Source]:
    """Return the clip for each stream."""
    return open_each([path] * streams, Decoding())
