"""Writes frames as a clip, by PyAV: without loss for exact checks, or as cameras do."""

from __future__ import annotations

import importlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


# The same frames become the same file, by the same FFmpeg: no random numbers, no version in it.
_EXACT = {"fflags": "+bitexact"}


class _Codec(NamedTuple):
    """A codec, FFmpeg's encoder of it, the pixels that it takes, and its options."""

    name: str
    encoder: str
    pixels: str
    options: dict[str, str]


# By the ending of the file's name.
CODECS = {
    ".mkv": _Codec("ffv1", "ffv1", "bgr0", {}),  # without loss
    # A key frame a second at 30 FPS, as cameras have them. The number of threads shapes the bytes.
    ".mp4": _Codec(
        "h264", "libx264", "yuv420p", {"crf": "23", "g": "30", "preset": "veryfast", "threads": "2"}
    ),
}


def import_av() -> Any:
    """Return the package PyAV, which has no types.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise ConfigError(
            f"clips need the package av: {error}. Run pip install -e '.[video]'."
        ) from error


def write_clip(path: Path, images: Iterable[NDArray[np.uint8]], rate: Fraction | int) -> int:
    """Write a clip, or after an error nothing; return the number of its frames.

    Args:
        path: of a new file; .mkv is FFV1, without loss, and .mp4 is H.264.
        images: [H, W, 3] uint8, RGB, all of one size; for H.264 of even sides.
        rate: frames a second.

    Raises:
        ConfigError: PyAV is not installed, the path has another ending, or it exists.
        OSError: the file cannot be written.
    """
    av, codec = import_av(), CODECS.get(path.suffix)
    if codec is None:
        raise ConfigError(
            f"{path}: expected a name that ends in .mkv (without loss) or .mp4 (H.264)."
        )
    if path.exists():
        raise ConfigError(f"{path}: it exists; expected the name of a new file.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: no such folder. Make it first.")
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        with av.open(str(part), "w", options=_EXACT) as container:
            count = _encode(av, container, images, Fraction(rate), codec)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _encode(
    av: Any, container: Any, images: Iterable[NDArray[np.uint8]], rate: Fraction, codec: _Codec
) -> int:
    stream, count = None, 0
    for image in images:
        if stream is None:
            stream = container.add_stream(codec.encoder, rate=rate, options=codec.options)
            stream.height, stream.width = image.shape[:2]
            stream.pix_fmt = codec.pixels
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = count, 1 / rate
        container.mux(stream.encode(frame))
        count += 1
    if stream is not None:
        container.mux(stream.encode())
    return count
