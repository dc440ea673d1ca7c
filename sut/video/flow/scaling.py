"""Who scales the frames: the first stage's own steps, or the decoder on its way to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sut.video.flow.prepare import Preparer
    from sut.video.flow.reader import Scaled
    from sut.video.sources.base import Picture

Scale = Literal["steps", "decoder"]
SCALES: tuple[Scale, ...] = ("steps", "decoder")


def scaled_by(scale: Scale, preparer: Preparer) -> Scaled:
    """Return what makes a frame of the size that the first stage wants.

    Args:
        scale: who scales.
        preparer: of the first stage.
    """

    def scaled(picture: Picture) -> NDArray[np.uint8] | None:
        if scale == "steps" or picture.scaled is None or picture.size is None:
            return None
        wanted = preparer.scaled_size(picture.size)
        return None if wanted is None else picture.scaled(wanted)

    return scaled
