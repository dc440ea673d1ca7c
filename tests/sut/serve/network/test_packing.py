"""How samples travel: what is packed before the test is what arrives."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from backends.base import TensorSpec
from data.benchmark import load_benchmark
from data.images import read_sample
from sut.base.errors import DataError
from sut.serve.network.packing import DecodeImage, inflate, packed
from sut.serve.samples import SampleSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

X = TensorSpec("x", (3, 5), "float32")


def source(folder: Path, indices: tuple[int, ...]) -> tuple[SampleSource, NDArray[np.float32]]:
    data = np.random.default_rng(0).random((4, 3, 5), np.float32)
    np.save(folder / "x.npy", data)
    return SampleSource((str(folder / "x.npy"),), 4, (X,), indices), data


def test_raw_samples_travel_byte_for_byte(tmp_path: Path) -> None:
    loaded, data = source(tmp_path, (2, 0, 2))

    found = packed(loaded, "raw", ())

    assert {index: bytes(pieces[0]) for index, pieces in found.items()} == {
        index: data[index].tobytes() for index in (2, 0)
    }


def test_lossless_samples_arrive_byte_for_byte(tmp_path: Path) -> None:
    loaded, data = source(tmp_path, (1,))
    room = bytearray(data[1].nbytes)

    inflate(packed(loaded, "lossless", ())[1], (memoryview(room),))

    assert bytes(room) == data[1].tobytes()


@pytest.mark.parametrize("size", [0, 59, 61, 1 << 24], ids=["none", "short", "long", "a bomb"])
def test_a_sample_that_inflates_to_another_size_is_refused(size: int) -> None:
    piece = memoryview(zlib.compress(bytes(size)))

    with pytest.raises(ValueError, match="expected 60"):
        inflate((piece,), (memoryview(bytearray(60)),))


def test_an_image_travels_as_its_file_and_becomes_the_same_sample(tmp_path: Path) -> None:
    benchmark = load_benchmark("efficientnet-lite0")
    path = tmp_path / "photo.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (300, 280, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    dtype = np.dtype("float32")
    expected = np.ascontiguousarray(read_sample(path, benchmark.preprocess, "NCHW", dtype))
    room = bytearray(expected.nbytes)

    pieces = packed(source(tmp_path, (0,))[0], "jpeg", [str(path)])[0]
    DecodeImage(benchmark)(pieces, (memoryview(room),))

    assert bytes(pieces[0]) == path.read_bytes()
    assert bytes(room) == expected.tobytes()


def test_what_is_no_image_is_refused() -> None:
    decode = DecodeImage(load_benchmark("efficientnet-lite0"))

    with pytest.raises(DataError, match="not an image"):
        decode((memoryview(b"no image"),), (memoryview(bytearray(8)),))
