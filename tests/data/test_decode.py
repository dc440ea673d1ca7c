"""Pixels of every kind of image file, against what is known of the numbers in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from data.benchmark import load_benchmark
from data.decode import decode
from data.images import read_sample
from data.steps import Exif
from sut.base.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.data.conftest import MakeBenchmark

# Values at the edges of the upper byte, as a 2 x 3 image.
WIDE = np.array([[0, 255, 256], [1023, 32768, 65535]], np.uint16)
HIGH = [[0, 0, 1], [3, 128, 255]]


def grey(path: Path) -> list[list[int]]:
    """Return the one channel that all three of a decoded image must equal."""
    pixels = np.asarray(decode(path))
    assert (pixels == pixels[:, :, :1]).all()
    found: list[list[int]] = pixels[:, :, 0].tolist()
    return found


def tiff(path: Path, pixels: NDArray[Any], **tags: int) -> Path:
    """Save a TIFF with tags of its own."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info[{"photometric": 262, "sample_format": 339}[name]] = value
    Image.fromarray(pixels).save(path, tiffinfo=info)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_n3_grey_of_16_bits_keeps_its_upper_byte(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"wide.{suffix}"
    Image.fromarray(WIDE).save(path)

    assert grey(path) == HIGH


def test_n3_grey_of_16_bits_in_big_endian_order(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    Image.frombytes("I;16B", (3, 2), WIDE.astype(">u2").tobytes()).save(path)

    assert grey(path) == HIGH


def test_n3_grey_of_16_bits_in_a_pgm(tmp_path: Path) -> None:
    path = tmp_path / "wide.pgm"
    path.write_bytes(b"P5 3 2 65535\n" + WIDE.astype(">u2").tobytes())

    assert grey(path) == HIGH


def test_n3_grey_of_12_bits_is_not_black(tmp_path: Path) -> None:
    path = tmp_path / "twelve.tif"
    # Two pixels of 12 bits in three bytes: 0xFFF and 0x800.
    head = tiff(tmp_path / "head.tif", np.zeros((1, 2), np.uint16)).read_bytes()
    with Image.open(tmp_path / "head.tif") as image:
        (offset,) = image.tag_v2[273]  # type: ignore[attr-defined] # a TIFF has it
    bits = head.index(b"\x02\x01\x03\x00\x01\x00\x00\x00\x10\x00")  # tag 258, one short: 16
    content = bytearray(head[:offset] + b"\xff\xf8\x00\x00")
    content[bits + 8] = 12
    path.write_bytes(content)

    assert grey(path) == [[255, 128]]


def test_n3_white_is_zero_in_some_tiffs(tmp_path: Path) -> None:
    path = tiff(tmp_path / "white.tif", WIDE, photometric=0)

    assert grey(path) == [[255 - value for value in row] for row in HIGH]


def test_n3_colour_of_16_bits_keeps_its_scale(tmp_path: Path) -> None:
    path = tmp_path / "wide.ppm"
    pixels = np.repeat(WIDE[:, :, None], 3, axis=2)
    path.write_bytes(b"P6 3 2 65535\n" + pixels.astype(">u2").tobytes())

    # Pillow rounds where it scales.
    assert np.abs(np.array(grey(path)) - HIGH).max() <= 1


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("mode F", lambda path: Image.fromarray(np.ones((2, 2), np.float32)).save(path)),
        ("mode I", lambda path: Image.fromarray(np.ones((2, 2), np.int32)).save(path)),
        ("mode LAB", lambda path: Image.new("LAB", (2, 2)).save(path)),
        ("not unsigned", lambda path: tiff(path, np.ones((2, 2), np.uint8), sample_format=2)),
    ],
    ids=["float", "32 bits", "Lab", "signed"],
)
def test_n3_pixels_without_a_certain_form_in_8_bits_are_refused(
    tmp_path: Path, name: str, save: Callable[[Path], object]
) -> None:
    save(tmp_path / "odd.tif")

    with pytest.raises(DataError, match=rf"odd\.tif: pixels .*{name}"):
        decode(tmp_path / "odd.tif")


@pytest.mark.parametrize(
    ("mode", "value", "suffix", "expected"),
    [
        ("1", 255, "png", (255, 255, 255)),
        ("L", 100, "png", (100, 100, 100)),
        ("LA", (100, 255), "png", (100, 100, 100)),
        ("RGB", (10, 20, 30), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "png", (10, 20, 30)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
    ],
)
def test_n3_a_colour_is_the_same_in_every_mode(
    tmp_path: Path,
    mode: str,
    value: int | tuple[int, ...],
    suffix: str,
    expected: tuple[int, ...],
) -> None:
    path = tmp_path / f"flat.{suffix}"
    Image.new(mode, (2, 2), value).save(path)

    assert np.asarray(decode(path)).reshape(-1, 3).tolist() == [list(expected)] * 4


def test_n3_a_palette_gives_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")

    assert np.asarray(decode(tmp_path / "palette.png")).tolist() == [[[10, 20, 30], [40, 50, 60]]]


# How each orientation of EXIF 2.32, 4.6.4 turns the rows and columns of a file.
TURNED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
# Four quarters of different grey, so that JPEG's blocks keep them apart.
QUARTERS = np.kron(
    np.array([[0, 80], [160, 240], [40, 120]], np.uint8), np.ones((16, 16), np.uint8)
)


def oriented(path: Path, orientation: object) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(path.suffix[1:], {})
    Image.fromarray(np.repeat(QUARTERS[:, :, None], 3, axis=2)).save(path, exif=exif, **options)  # type: ignore[arg-type] # options by format
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", TURNED)
def test_n5_an_image_is_turned_as_its_camera_noted(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    found = np.asarray(decode(oriented(tmp_path / f"photo.{suffix}", orientation)))[:, :, 0]

    expected = TURNED[orientation](QUARTERS)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_n5_a_benchmark_can_ignore_the_orientation(tmp_path: Path) -> None:
    path = oriented(tmp_path / "photo.png", 6)

    sample = read_sample(path, (Exif(orientation="ignore"),), "NHWC", np.dtype(np.uint8))

    assert sample[:, :, 0].tolist() == QUARTERS.tolist()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_n5_an_unknown_orientation_turns_nothing(tmp_path: Path, orientation: int) -> None:
    path = oriented(tmp_path / "photo.png", orientation)

    assert np.asarray(decode(path))[:, :, 0].tolist() == QUARTERS.tolist()


def test_n5_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(QUARTERS).save(path, exif=b"Exif\0\0MM\0*\0\0\xff\xff\0\1")

    assert np.asarray(decode(path))[:, :, 0].tolist() == QUARTERS.tolist()


def test_n5_the_step_comes_first(make_benchmark: MakeBenchmark) -> None:
    steps = [{"step": "resize", "height": 8, "width": 8}, {"step": "exif", "orientation": "ignore"}]

    with pytest.raises(ConfigError, match="exif is not the first step"):
        make_benchmark(preprocess=steps)


def test_n5_the_step_is_known_in_a_benchmark_file(make_benchmark: MakeBenchmark) -> None:
    steps = [{"step": "exif", "orientation": "ignore"}, {"step": "resize", "height": 8, "width": 8}]

    benchmark = make_benchmark(preprocess=steps)

    assert load_benchmark(str(benchmark.file)).preprocess[0] == Exif(orientation="ignore")
