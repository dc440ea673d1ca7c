"""The frame of a sample says where its pixels lie in the image, whatever the steps did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from data import steps
from data.frames import frame, letterboxed
from data.images import read_sample
from data.preprocess import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from tests.data.conftest import MakeBenchmark, MakeImages

FLOAT32 = np.dtype(np.float32)


def image_with_a_spot(path: Path, spot: tuple[int, int], size: tuple[int, int]) -> Path:
    """Write a black image of `size` (width, height) with a white square of 20 pixels at `spot`."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = spot
    pixels[y : y + 20, x : x + 20] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (160, 160), (640, 480)])
@pytest.mark.parametrize(
    "made",
    [
        (),
        (steps.Resize(height=120, width=180),),
        (steps.ResizeShorter(size=150), steps.CenterCrop(height=140, width=130)),
        (steps.Letterbox(height=256, width=256, fill=0),),
        (steps.Letterbox(height=320, width=256, fill=0, place="corner"),),
        (steps.Letterbox(height=256, width=256, fill=0), steps.Resize(height=100, width=300)),
    ],
)
def test_a_spot_of_the_sample_is_where_it_is_in_the_image(
    tmp_path: Path, size: tuple[int, int], made: tuple[steps.Step, ...]
) -> None:
    spot = (size[0] // 2 - 30, size[1] // 2 - 10)
    path = image_with_a_spot(tmp_path / "spot.png", spot, size)

    sample = read_sample(path, made, "NHWC", FLOAT32)[:, :, 0]

    weights = sample / sample.sum()
    y, x = ((np.arange(n) + 0.5) @ weights.sum(axis=1 - k) for k, n in enumerate(sample.shape))
    scale_y, scale_x, offset_y, offset_x = frame(size, made)
    assert (x * scale_x + offset_x) * size[0] == pytest.approx(spot[0] + 10, abs=0.5)
    assert (y * scale_y + offset_y) * size[1] == pytest.approx(spot[1] + 10, abs=0.5)


def test_a_letterbox_keeps_the_aspect_and_fills_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("RGB", (101, 50), "white").save(path)
    step = steps.Letterbox(height=64, width=64)

    sample = read_sample(path, (step,), "NHWC", FLOAT32)

    # 101 x 50 becomes 64 x 32 (31.7), with 16 rows of grey above and below.
    assert letterboxed((101, 50), step)[:2] == ((64, 32), (0, 16))
    assert np.unique(sample[:16]).tolist() == np.unique(sample[48:]).tolist() == [114]
    assert np.unique(sample[16:48]).tolist() == [255]


# Computed with cv2.resize (opencv-python-headless 5.0.0, INTER_LINEAR) from the same pixels.
OPENCV_ROWS = np.array(
    [[53, 213, 129, 174, 110, 87], [98, 186, 198, 192, 108, 94], [152, 196, 142, 180, 183, 173]]
)


def test_the_linear_filter_is_opencvs(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    step = steps.Resize(height=5, width=6, filter="linear")

    sample = read_sample(tmp_path / "noise.png", (step,), "NHWC", FLOAT32)

    assert np.abs(sample[[0, 2, 4], :, 1] - OPENCV_ROWS).max() <= 1  # OpenCV rounds on the way


def test_only_a_postprocess_that_needs_frames_has_them(
    make_benchmark: MakeBenchmark, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png", "b.png", size=(20, 40))
    yolo = {"postprocess": {"kind": "yolo"}, "accuracy": {"metric": "mAP"}}
    letterbox = [{"step": "letterbox", "height": 8, "width": 8}]

    plain = prepare(make_benchmark(), None, cache_dir=tmp_path)
    stretched = prepare(make_benchmark(**yolo), None, cache_dir=tmp_path)
    boxed = prepare(make_benchmark(**yolo, preprocess=letterbox), None, cache_dir=tmp_path)

    assert plain.frames is None
    assert stretched.frames is not None
    assert (stretched.frames.height, stretched.frames.path) == (8, "")
    assert boxed.frames is not None
    assert boxed.frames.open().of(1).tolist() == pytest.approx([1 / 4, 1 / 8, -0.5, 0])
