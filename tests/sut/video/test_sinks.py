"""Sinks that draw: the boxes are where they were found, in the stream's own video or tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sut.video.drawing import Drawer
from sut.video.flow.seen import Seen
from sut.video.pipeline_file import load_pipeline
from sut.video.sinks import open_sink
from sut.video.types import Boxes, Frame, Pixels, no_boxes
from tests.sut.video.made import detect, write_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sut.video.pipeline_file import StageSpec

SIZE = (640, 360)
BOX = (200, 120, 440, 300)


@pytest.fixture
def stages(tmp_path: Path) -> Sequence[StageSpec]:
    return load_pipeline(str(write_pipeline(tmp_path, [detect()]))).spec.stages


def seen(stream: int, number: int, *, grey: int, has_box: bool = True) -> Seen:
    image = np.full((SIZE[1], SIZE[0], 3), grey, np.uint8)
    one = Boxes(
        np.array([BOX], np.float32), np.array([0.9], np.float32), np.array([1]), np.array([0])
    )
    return Seen(
        Frame(stream, number, number / 25, 0, Pixels.of(image)),
        True,
        one if has_box else no_boxes(),
        {},
    )


def differs(image: NDArray[np.uint8], grey: int) -> NDArray[np.bool_]:
    """Return where a picture is not grey any more; codecs move values a little."""
    found: NDArray[np.bool_] = (np.abs(image.astype(int) - grey) > 40).any(axis=2)
    return found


def test_a_box_is_drawn_on_its_edges_and_nowhere_else(stages: Sequence[StageSpec]) -> None:
    frame = seen(0, 0, grey=120)

    drawn = differs(Drawer(stages).drawn(frame), 120)

    left, top, right, bottom = BOX
    assert drawn[top : bottom + 1, [left, right]].all()
    assert drawn[[top, bottom], left : right + 1].all()
    outside = drawn.copy()
    outside[top : bottom + 1, left : right + 1] = False
    assert not outside.any()
    assert (frame.frame.image == 120).all(), "the frame itself is not written to"


def test_annotate_writes_a_video_of_each_stream(
    stages: Sequence[StageSpec], tmp_path: Path
) -> None:
    av = pytest.importorskip("av")
    sink = open_sink("annotate", tmp_path, stages, 2, 25.0)
    for number in range(3):
        sink.frame(seen(0, number, grey=60))
        sink.frame(seen(1, number, grey=180, has_box=False))

    files = sink.close()

    assert files == ["stream-000.mp4", "stream-001.mp4"]
    for name, grey, has_box in zip(files, (60, 180), (True, False), strict=True):
        with av.open(str(tmp_path / name)) as file:
            images = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert len(images) == 3
        assert differs(images[0], grey)[BOX[1] : BOX[3], BOX[0]].all() == has_box
        assert not differs(images[0], grey)[:100].any()


def test_a_mosaic_has_each_stream_in_its_tile_and_a_still_of_the_fullest_moment(
    stages: Sequence[StageSpec], tmp_path: Path
) -> None:
    pytest.importorskip("av")
    sink = open_sink("mosaic", tmp_path, stages, 3, 25.0)
    greys = (60, 120, 180)
    for number, has_box in ((0, True), (1, False)):
        for stream, grey in enumerate(greys):
            sink.frame(seen(stream, number, grey=grey, has_box=has_box))

    assert sink.close() == ["mosaic.mp4", "mosaic.png"]

    still = np.asarray(Image.open(tmp_path / "mosaic.png"))
    assert still.shape == (720, 1280, 3)  # two tiles of 640 x 360 a row
    tiles = [still[y : y + 360, x : x + 640] for y in (0, 360) for x in (0, 640)]
    for tile, grey in zip(tiles, (*greys, 0), strict=True):
        assert (tile[:100] == grey).all()
    assert differs(tiles[0], greys[0])[BOX[1] : BOX[3], BOX[0]].all(), "the first moment is kept"
