"""Clips whose every pixel is known, written by PyAV."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COUNT, RATE = 12, 25
ODD = (33, 25)  # width and height


def pixels(number: int, size: tuple[int, int] = ODD) -> NDArray[np.uint8]:
    """Return the pixels of a frame, `[height, width, 3] uint8`."""
    width, height = size
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def write(
    path: Path,
    size: tuple[int, int] = ODD,
    *,
    codec: str = "ffv1",
    pts: Sequence[int] | None = None,
    rotation: int = 0,
) -> Path:
    """Write frames; losslessly by default."""
    import av  # an extra: modules that only name this one need it not

    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(pixels(number, size), format="rgb24")
            frame.pts = number * 1000 // RATE if pts is None else pts[number]
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
