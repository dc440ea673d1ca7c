"""Crops have the pixels of their boxes, and places lead back to the frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from data.benchmark import load_benchmark
from data.images import sample_of
from data.schema import InputTensor
from data.steps import CenterCrop, Letterbox, Normalize, Resize, ResizeShorter, Step
from data.tasks.base import Frames
from data.variant import in_pixels
from sut.base.errors import ConfigError
from sut.video.flow.prepare import Preparer, grown
from sut.video.pipeline_file import Grow
from sut.video.types import Frame, Pixels
from tests.sut.video.made import CROP, HEIGHT, WIDTH, picture, write_models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@pytest.fixture
def preparer(tmp_path: Path) -> Preparer:
    write_models(tmp_path)
    return Preparer(load_benchmark(str(tmp_path / "colour.yaml")))


def test_a_crop_of_the_models_size_has_the_pixels_of_its_box(preparer: Preparer) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)

    fed = preparer.crops(image, np.array([[3, 5, 3 + CROP, 5 + CROP]], np.float32), Grow())

    expected = image[5 : 5 + CROP, 3 : 3 + CROP].transpose(2, 0, 1)
    np.testing.assert_array_equal(fed.samples[0], expected)
    assert fed.regions.tolist() == [[3, 5, CROP, CROP]]


def test_what_lies_outside_the_frame_is_black(preparer: Preparer) -> None:
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)

    fed = preparer.crops(image, np.array([[-4, -4, 4, 4], [90, 90, 98, 98]], np.float32), Grow())

    assert fed.samples[0, :, :4].max() == 0
    assert fed.samples[0, :, :, :4].max() == 0
    assert fed.samples[0, :, 4:, 4:].min() == 200
    assert fed.samples[1].max() == 0


def test_a_box_grows_by_shares_of_its_size() -> None:
    box = np.array([[10, 20, 20, 40]], np.float32)

    assert grown(box, Grow(left=0.1, top=0.5, right=0.2, bottom=0)).tolist() == [[9, 10, 22, 40]]
    assert grown(box[:, [0, 1, 0, 1]], Grow()).tolist() == [[10, 20, 11, 21]]


def test_a_place_leads_from_the_input_back_to_the_region(preparer: Preparer) -> None:
    fed = preparer.crops(picture([]), np.array([[2, 3, 18, 19]], np.float32), Grow())

    scale_y, scale_x, offset_y, offset_x = Frames(CROP, CROP, fed.places).of(0)

    assert [CROP * scale_y + offset_y, CROP * scale_x + offset_x] == pytest.approx([1, 1])
    assert [offset_y, offset_x] == pytest.approx([0, 0])


def test_steps_that_miss_the_inputs_shape_are_refused(tmp_path: Path) -> None:
    write_models(tmp_path)
    preparer = Preparer(load_benchmark(str(tmp_path / "boxes.yaml")))

    with pytest.raises(ConfigError, match="End the steps in a resize"):
        preparer.frame(frame_of(np.zeros((HEIGHT + 1, WIDTH, 3), np.uint8)))


SHRINK: Sequence[tuple[Step, tuple[int, int]]] = [
    (Resize(8, 12), (12, 8)),
    (ResizeShorter(10), (20, 10)),
    (Letterbox(16, 16), (16, 8)),
    (Letterbox(16, 16, place="corner"), (16, 8)),
]


@pytest.mark.parametrize(("step", "size"), SHRINK)
def test_a_frame_that_the_decoder_scaled_passes_the_same_steps(
    step: Step, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 40, 3), np.uint8)
    other = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), np.uint8)
    preparer = with_steps(step, CenterCrop(8, 8))

    own = preparer.frame(frame_of(image))
    given = preparer.frame(replace(frame_of(image), small=other))

    assert preparer.scaled_size((40, 20)) == size
    np.testing.assert_array_equal(given.places, own.places)
    np.testing.assert_array_equal(given.regions, own.regions)
    inside = sample_of(
        Image.fromarray(other), [step, CenterCrop(8, 8)], "NHWC", np.dtype(np.uint8), ""
    )
    np.testing.assert_array_equal(given.samples[0], inside)
    if not isinstance(step, Letterbox):  # nobody scaled the other image again
        x, y = (size[0] - 8) // 2, (size[1] - 8) // 2
        np.testing.assert_array_equal(given.samples[0], other[y : y + 8, x : x + 8])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("pixels", [False, True])
def test_a_frame_of_the_models_size_is_the_sample_that_the_steps_make(
    pixels: bool, layout: Literal["NCHW", "NHWC"]
) -> None:
    benchmark = load_benchmark("pedestrian")
    shape = (3, 8, 12) if layout == "NCHW" else (8, 12, 3)
    tensor = InputTensor("x", shape, "float32", layout)
    steps = Resize(8, 12), Normalize(100, 50)
    benchmark = structs.replace(benchmark, input=tensor, preprocess=steps)
    preparer = Preparer(in_pixels(benchmark) if pixels else benchmark)
    small = np.random.default_rng(3).integers(0, 256, (8, 12, 3), np.uint8)

    fed = preparer.frame(replace(frame_of(picture([])), small=small))

    expected = small.transpose(2, 0, 1) if layout == "NCHW" else small
    normalised = (expected - np.float32(100)) / np.float32(50)
    np.testing.assert_array_equal(fed.samples[0], expected if pixels else normalised)


def test_a_crop_before_all_else_is_not_left_to_the_decoder() -> None:
    assert with_steps(CenterCrop(8, 8), Resize(8, 8)).scaled_size((40, 20)) is None


def frame_of(image: NDArray[np.uint8]) -> Frame:
    return Frame(0, 0, 0.0, 0, Pixels.of(image))


def with_steps(*steps: Step) -> Preparer:
    benchmark = load_benchmark("pedestrian")
    tensor = InputTensor("x", (8, 8, 3), "uint8", "NHWC")
    return Preparer(structs.replace(benchmark, input=tensor, preprocess=steps))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_input_of_a_frame_is_made_where_it_shall_lie(tmp_path: Path, dtype: str) -> None:
    write_models(tmp_path)
    benchmark = load_benchmark(str(tmp_path / "boxes.yaml"))
    assert isinstance(benchmark.input, InputTensor)
    preparer = Preparer(
        structs.replace(benchmark, input=structs.replace(benchmark.input, dtype=dtype))
    )
    frame = frame_of(picture([(1, 2, 9, 10, 255, 1)]))
    room = np.full(preparer.shape, 7, preparer.dtype)

    fed, elsewhere = preparer.frame(frame, room), preparer.frame(frame)

    assert fed.samples is room
    assert room.dtype == dtype
    np.testing.assert_array_equal(room, elsewhere.samples)
    assert fed.regions.tolist() == [[0, 0, WIDTH, HEIGHT]]
