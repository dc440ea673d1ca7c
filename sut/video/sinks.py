"""Where frames end: nowhere, in a video a stream, or in one tiled video with a still of it.

PyAV encodes. What a sink costs is a part of a frame's time of its own.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sut.base.errors import ConfigError
from sut.video.drawing import Drawer
from sut.video.flow.seen import NullSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sut.video.flow.seen import Seen, Sink
    from sut.video.pipeline_file import StageSpec

NULL, ANNOTATE, MOSAIC = "null", "annotate", "mosaic"
SINKS = (NULL, ANNOTATE, MOSAIC)
CODEC = "libx264"
MOSAIC_VIDEO, MOSAIC_STILL = "mosaic.mp4", "mosaic.png"
_WIDTH, _HEIGHT = 1280, 720  # of a mosaic


class Video:
    """One video file, written frame by frame by one thread at a time."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        if importlib.util.find_spec("av") is None:
            raise ConfigError("--sink needs PyAV. Install it: pip install -e '.[video]'")
        import av  # noqa: PLC0415 - an extra

        self._av: Any = av
        self.name = path.name
        self._file = self._av.open(str(path), "w")
        self._stream: Any = self._file.add_stream(CODEC, rate=max(1, round(rate)))
        # libx264 wants even sides.
        self._stream.width, self._stream.height = (side // 2 * 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"preset": "veryfast"}
        self._count = 0

    def write(self, image: NDArray[np.uint8]) -> None:
        """Add a frame, [H, W, 3] uint8."""
        height, width = self._stream.height, self._stream.width
        frame = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image[:height, :width]), format="rgb24"
        )
        frame.pts = self._count
        self._count += 1
        for packet in self._stream.encode(frame):
            self._file.mux(packet)

    def close(self) -> None:
        """Write what is left."""
        for packet in self._stream.encode():
            self._file.mux(packet)
        self._file.close()


class AnnotateSink:
    """Each stream as a video with its boxes: stream-000.mp4 and so on."""

    sees_pixels = sees_frames = True

    def __init__(self, folder: Path, drawer: Drawer, rate: float) -> None:
        self._folder, self._drawer, self._rate = folder, drawer, rate
        self._videos: dict[int, Video] = {}

    def frame(self, seen: Seen) -> None:
        """See Sink."""
        stream = seen.frame.stream
        image = self._drawer.drawn(seen)
        video = self._videos.get(stream)
        if video is None:
            path = self._folder / f"stream-{stream:03}.mp4"
            size = image.shape[1], image.shape[0]
            video = self._videos[stream] = Video(path, size, self._rate)
        video.write(image)

    def close(self) -> list[str]:
        """See Sink."""
        for video in self._videos.values():
            video.close()
        return sorted(video.name for video in self._videos.values())


class MosaicSink:
    """All streams as tiles of one video, and the picture with the most boxes as a still.

    A picture is written whenever the stream that is ahead has a new frame.
    """

    sees_pixels = sees_frames = True

    def __init__(self, folder: Path, drawer: Drawer, streams: int, rate: float) -> None:
        columns = math.ceil(math.sqrt(streams))
        rows = math.ceil(streams / columns)
        self._columns = columns
        self._tile = _WIDTH // columns // 2 * 2, _HEIGHT // columns // 2 * 2
        size = self._tile[0] * columns, self._tile[1] * rows
        self._folder, self._drawer = folder, drawer
        self._picture = np.zeros((size[1], size[0], 3), np.uint8)
        self._fullest = self._picture.copy()
        self._most = -1
        self._boxes = [0] * streams
        self._counts = [0] * streams
        self._ahead = 0
        self._lock = threading.Lock()
        self._video = Video(folder / MOSAIC_VIDEO, size, rate)

    def frame(self, seen: Seen) -> None:
        """See Sink."""
        width, height = self._tile
        tile = self._drawer.drawn(seen, self._tile)
        stream = seen.frame.stream
        left, top = stream % self._columns * width, stream // self._columns * height
        with self._lock:
            self._picture[top : top + height, left : left + width] = tile
            self._boxes[stream] = len(seen.boxes) + sum(len(f.boxes) for f in seen.found.values())
            self._counts[stream] += 1
            if sum(self._boxes) > self._most:
                self._most = sum(self._boxes)
                self._fullest[:] = self._picture
            if self._counts[stream] > self._ahead:
                self._ahead = self._counts[stream]
                self._video.write(self._picture)

    def close(self) -> list[str]:
        """See Sink."""
        self._video.close()
        Image.fromarray(self._fullest).save(self._folder / MOSAIC_STILL)
        return [MOSAIC_VIDEO, MOSAIC_STILL]


def open_sink(
    kind: str, folder: Path, stages: Sequence[StageSpec], streams: int, rate: float
) -> Sink:
    """Return a sink of SINKS; its files go into `folder`.

    Args:
        kind: of SINKS.
        folder: is there.
        stages: of the pipeline's file, for names.
        streams: how many will come.
        rate: of the videos, frames a second.

    Raises:
        ConfigError: PyAV is not installed.
    """
    drawer = Drawer(stages)
    opens: dict[str, Callable[[], Sink]] = {
        NULL: NullSink,
        ANNOTATE: lambda: AnnotateSink(folder, drawer, rate),
        MOSAIC: lambda: MosaicSink(folder, drawer, streams, rate),
    }
    return opens[kind]()
