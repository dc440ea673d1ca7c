"""A folder of images as one clip, in the order of their names; Pillow decodes them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from data.decode import decode, size_of
from sut.base.errors import ConfigError
from sut.video.sources.base import ClipFacts, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp"})
RATE = 30.0  # frames a second, unless --fps says another


class Images:
    """Images of one size. See sut.video.sources.base.Source.

    Args:
        folder: for messages.
        files: the images.

    Raises:
        DataError: the first one is no image.
    """

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        width, height = size_of(files[0])
        self.facts = ClipFacts(
            str(folder), "images", width, height, RATE, len(files), decoder="Pillow on the CPU"
        )
        self.notes: list[str] = []
        self._files = files

    def pictures(self) -> Iterator[Picture]:
        """See Source."""
        for number, path in enumerate(self._files):
            yield Picture(number / RATE, partial(_pixels, path, self.facts))

    def close(self) -> None:
        """See Source."""


def _pixels(path: Path, facts: ClipFacts) -> NDArray[np.uint8]:
    image = decode(path)
    if image.size != (facts.width, facts.height):
        raise ConfigError(
            f"{path}: {image.width}x{image.height} pixels; expected those of the first image, "
            f"{facts.width}x{facts.height}."
        )
    return np.asarray(image)
