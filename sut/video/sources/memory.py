"""Frames that are in memory already: the ceiling of a pipeline without a decoder, and tests."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.video.sources.base import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.sources.base import ClipFacts, Source

    Kept = Sequence[tuple[float, NDArray[np.uint8]]]


class Frames:
    """Decoded frames. See sut.video.sources.base.Source; several may share the pixels.

    Args:
        facts: of the clip.
        frames: their time in seconds and their pixels, [H, W, 3] uint8.
    """

    def __init__(self, facts: ClipFacts, frames: Kept) -> None:
        self.facts = facts
        self.notes: list[str] = []
        self._frames = frames

    def pictures(self) -> Iterator[Picture]:
        """See Source."""
        for pts_s, image in self._frames:
            yield Picture(pts_s, partial(_itself, image))

    def again(self) -> Frames:
        """Return another source of the same pixels."""
        return Frames(self.facts, self._frames)

    def close(self) -> None:
        """See Source."""


def decoded(source: Source, most_bytes: int) -> Frames:
    """Decode the first frames of a clip, as many as fit.

    Args:
        source: it is closed afterwards.
        most_bytes: for the pixels.

    Raises:
        ConfigError: not even two frames fit, or the clip comes over a network.
        DataError: the clip cannot be decoded.
    """
    facts = source.facts
    if facts.live:
        raise ConfigError(f"--decode memory: {facts.name} comes over a network; name a file.")
    most = most_bytes // (facts.width * facts.height * 3)
    if most <= 1:
        raise ConfigError(
            f"--decode memory: two frames of {facts.width}x{facts.height} need more than "
            f"{most_bytes / 1e6:.0f} MB. Raise --memory-mb."
        )
    kept: list[tuple[float, NDArray[np.uint8]]] = []
    pictures = source.pictures()
    for picture in pictures:
        kept.append((picture.pts_s, picture.image()))
        if len(kept) == most:
            break
    source.close()
    decoder = f"none: the first {len(kept)} frames lie in memory"
    return Frames(replace(facts, frames=len(kept), decoder=decoder), kept)


def _itself(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image
