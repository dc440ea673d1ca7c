from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data import steps
from data.content import READ_BYTES
from data.images import read_sample, sample_of
from data.preprocess import SampleSet, prepare
from data.sample_file import Part, Rows, find_samples, make_samples
from sut.base.errors import ConfigError, DataError
from tests.data.conftest import MakeBenchmark, MakeImages

FLOAT32 = np.dtype(np.float32)
UINT8 = np.dtype(np.uint8)


@pytest.fixture
def gradient(tmp_path: Path) -> Path:
    """Return an image of 2 rows and 4 columns; red is the column, green the row."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :, 0], pixels[:, :, 1] = np.arange(4), np.arange(2)[:, None]
    path = tmp_path / "gradient.png"
    Image.fromarray(pixels).save(path)
    return path


def test_without_steps_the_pixels_are_the_sample(gradient: Path) -> None:
    sample = read_sample(gradient, (), "NHWC", UINT8)

    assert sample.shape == (2, 4, 3)
    assert sample[1].tolist() == [[0, 1, 0], [1, 1, 0], [2, 1, 0], [3, 1, 0]]


def test_pixels_can_be_written_to_and_lie_in_order(gradient: Path) -> None:
    for layout in ("NHWC", "NCHW"):
        sample = read_sample(gradient, (), layout, UINT8)

        assert sample.flags.writeable
        assert sample.flags.c_contiguous


def test_nchw_puts_channels_first(gradient: Path) -> None:
    sample = read_sample(gradient, (), "NCHW", FLOAT32)

    assert sample.shape == (3, 2, 4)
    assert sample[0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_bgr_reverses_the_channels(gradient: Path) -> None:
    sample = read_sample(gradient, (steps.Color(order="BGR"),), "NHWC", UINT8)

    assert sample[1, 3].tolist() == [0, 1, 3]


def test_grey_is_one_channel(gradient: Path) -> None:
    sample = read_sample(gradient, (steps.Color(order="L"),), "NCHW", UINT8)

    assert sample.shape == (1, 2, 4)


def test_a_crop_keeps_the_middle(gradient: Path) -> None:
    sample = read_sample(gradient, (steps.CenterCrop(height=2, width=2),), "NCHW", UINT8)

    assert sample[0].tolist() == [[1, 2], [1, 2]]


def test_an_image_smaller_than_its_crop_is_named(gradient: Path) -> None:
    with pytest.raises(DataError, match=r"gradient\.png: 2x4 .*center_crop"):
        read_sample(gradient, (steps.CenterCrop(height=4, width=4),), "NCHW", UINT8)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_the_shorter_side_gets_the_size_and_the_longer_one_is_cut_to_whole_pixels(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    Image.new("RGB", (width, height)).save(path)

    sample = read_sample(path, (steps.ResizeShorter(size=size),), "NHWC", UINT8)

    longer = size * max(height, width) // min(height, width)
    expected = (size, longer) if height <= width else (longer, size)
    assert sample.shape == (*expected, 3)


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_every_filter_keeps_a_flat_colour(tmp_path: Path, name: steps.Filter) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (9, 7), (10, 20, 30)).save(path)

    sample = read_sample(path, (steps.Resize(height=4, width=5, filter=name),), "NHWC", UINT8)

    assert sample.shape == (4, 5, 3)
    assert (sample == [10, 20, 30]).all()


def test_numbers_are_normalized_in_float32(gradient: Path) -> None:
    step = steps.Normalize(mean=(1.0, 2.0, 0.5), std=0.5)

    sample = read_sample(gradient, (step,), "NHWC", FLOAT32)

    assert sample.dtype == np.float32
    assert sample[1, 3].tolist() == [4.0, -2.0, -1.0]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int8", [127, -128, 0]), ("uint8", [200, 0, 0]), ("float16", [200.5, -250.0, 0.5])],
)
def test_integers_are_rounded_and_cut_to_their_range(
    tmp_path: Path, dtype: str, expected: list[float]
) -> None:
    path = tmp_path / "one.png"
    Image.new("RGB", (1, 1), (200, 0, 0)).save(path)
    step = steps.Normalize(mean=(-0.5, 250.0, -0.5), std=1.0)

    sample = read_sample(path, (step,), "NHWC", np.dtype(dtype))

    assert sample.dtype == dtype
    assert sample[0, 0].tolist() == expected


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("mean", "std"), [(0.1, 0.3), ((123.675, 116.28, 103.53), (58.0, 57, 57))])
def test_every_channel_is_that_of_the_formula_to_the_bit(
    layout: str, dtype: str, mean: float | tuple[float, ...], std: float | tuple[float, ...]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    normalize = steps.Normalize(mean, std)

    found = sample_of(Image.fromarray(pixels), (normalize,), layout, np.dtype(dtype), "here")

    means, stds = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    formula = (pixels.astype(np.float32) - means) / stds
    if dtype == "int8":
        formula = np.clip(np.rint(formula), -128, 127)
    wanted = formula.astype(dtype)
    np.testing.assert_array_equal(found, wanted.transpose(2, 0, 1) if layout == "NCHW" else wanted)


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (3, 5, 7)), ("int8", (3, 5, 7))])
def test_a_sample_is_made_in_its_room_where_that_is_of_float32(
    dtype: str, shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    room = np.full(shape, -1, dtype)

    found = sample_of(Image.fromarray(pixels), (), "NCHW", np.dtype(dtype), "here", room)
    again = sample_of(Image.fromarray(pixels), (), "NCHW", np.dtype(dtype), "here")

    assert (found is room) == (dtype == "float32")
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16", "LA"])
def test_every_mode_of_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new(mode, (3, 2)).save(path)

    assert read_sample(path, (), "NHWC", UINT8).shape == (2, 3, 3)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "missing"])
def test_an_image_that_cannot_be_read_is_named(
    make_images: MakeImages, make_benchmark: MakeBenchmark, tmp_path: Path, damage: str
) -> None:
    bad = make_images("a.jpg", "bad.jpg", "c.jpg", size=(64, 64)) / "bad.jpg"
    content = {"cut": bad.read_bytes()[:900], "empty": b"", "text": b"no image", "missing": b""}
    bad.write_bytes(content[damage])
    if damage == "missing":
        bad.unlink()
        bad.symlink_to(tmp_path / "nowhere")

    with pytest.raises(DataError, match=r"bad\.jpg"):
        prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_several_bad_images_are_named_together(
    make_images: MakeImages, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    folder = make_images(*[f"{i}.png" for i in range(6)])
    for i in (1, 4):
        (folder / f"{i}.png").write_bytes(b"")

    with pytest.raises(DataError, match=r"2 images .*1\.png.*4\.png"):
        prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")


def test_many_bad_images_end_the_work_early(
    make_images: MakeImages, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    folder = make_images("0.png")
    for i in range(40):
        (folder / f"bad{i}.png").write_bytes(b"")

    with pytest.raises(DataError, match="20 or more"):
        prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")


def test_steps_that_end_in_another_shape_name_both(
    make_images: MakeImages, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    make_images("a.png")
    benchmark = make_benchmark(preprocess=[{"step": "resize", "height": 9, "width": 8}])

    with pytest.raises(ConfigError, match=r"preprocess makes \[3, 9, 8\].*input.shape \[3, 8, 8\]"):
        prepare(benchmark, None, cache_dir=tmp_path / "cache")


@pytest.fixture
def three(make_images: MakeImages) -> Path:
    """Return a folder of three labelled images."""
    folder = make_images("a.png", "b.png", "c.png")
    (folder / "labels.csv").write_text("c.png,3\na.png,1\nb.png,2\n", "ascii")
    return folder


LABELLED = {"kind": "folder", "folder": "images", "labels": "labels.csv"}


@pytest.mark.usefixtures("three")
def test_the_samples_lie_in_one_file_in_the_order_of_the_labels(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    benchmark = make_benchmark(dataset=LABELLED)

    samples = prepare(benchmark, None, cache_dir=tmp_path / "cache")

    array = samples.open()["x"]
    assert (array.shape, array.dtype) == ((3, 3, 8, 8), FLOAT32)
    assert array.flags.c_contiguous
    assert samples.paths[0].stat().st_size == 128 + array.nbytes
    assert samples.names == ("c.png", "a.png", "b.png")
    assert samples.labels is not None
    assert samples.labels == (3, 1, 2)
    assert not samples.synthetic
    path = tmp_path / "images" / "a.png"
    assert (array[1] == read_sample(path, benchmark.preprocess, "NCHW", FLOAT32)).all()


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.usefixtures("three")
def test_samples_are_the_same_however_many_threads_make_them(
    make_benchmark: MakeBenchmark, tmp_path: Path, jobs: int
) -> None:
    expected = prepare(make_benchmark(), None, cache_dir=tmp_path / "expected", jobs=2)

    samples = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache", jobs=jobs)

    assert samples.digest == expected.digest
    assert (samples.open()["x"] == expected.open()["x"]).all()


def inode(samples: SampleSet) -> int:
    return samples.paths[0].stat().st_ino


@pytest.mark.usefixtures("three")
def test_samples_are_made_once(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []

    first = prepare(
        make_benchmark(),
        None,
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: calls.append((done, total)),
    )
    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (again.digest, inode(again)) == (first.digest, inode(first))


def test_a_changed_image_makes_other_samples(
    make_benchmark: MakeBenchmark, three: Path, tmp_path: Path
) -> None:
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")
    Image.new("RGB", (10, 12)).save(three / "b.png")

    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.digest != first.digest
    assert not again.open()["x"][1].any()


def test_a_touched_image_keeps_the_digest(
    make_benchmark: MakeBenchmark, three: Path, tmp_path: Path
) -> None:
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")
    os.utime(three / "b.png", ns=(1, 1))

    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.paths != first.paths
    assert again.digest == first.digest


@pytest.mark.usefixtures("three")
def test_other_steps_or_labels_are_other_samples(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    steps = [{"step": "resize", "height": 8, "width": 8}, {"step": "normalize", "std": 255}]
    benchmarks: list[dict[str, object]] = [{}, {"preprocess": steps}, {"dataset": LABELLED}]

    digests = {
        prepare(make_benchmark(**changes), None, cache_dir=tmp_path / "cache").digest
        for changes in benchmarks
    }

    assert len(digests) == 3


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no meta", "bad meta", "no array"])
@pytest.mark.usefixtures("three")
def test_damaged_samples_are_made_again(
    make_benchmark: MakeBenchmark,
    tmp_path: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")
    whole = first.paths[0].read_bytes()
    meta = first.paths[0].with_name("meta.json")
    match damage:
        case "cut":
            first.paths[0].write_bytes(whole[:-50])
        case "flip":
            first.paths[0].write_bytes(whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:])
        case "empty":
            first.paths[0].write_bytes(b"")
        case "no meta":
            meta.unlink()
        case "bad meta":
            meta.write_bytes(meta.read_bytes()[:-9])
        case "no array":
            first.paths[0].write_bytes(b"something else that is no array")

    with caplog.at_level(logging.WARNING):
        again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.digest == first.digest
    assert again.paths[0].read_bytes() == whole
    assert (damage == "no meta") or "made again" in caplog.text


def test_an_interrupted_making_leaves_nothing(tmp_path: Path) -> None:
    rows = Rows(8, (Part((2,), FLOAT32),))

    def read(row: int) -> list[np.ndarray]:
        if row == 3:
            raise KeyboardInterrupt
        return [np.zeros(2, np.float32)]

    with pytest.raises(KeyboardInterrupt):
        make_samples(tmp_path / "cache" / "entry", rows, read, jobs=2)

    assert list((tmp_path / "cache").iterdir()) == []


def test_two_that_make_the_same_at_once_both_get_it(tmp_path: Path) -> None:
    entry, rows = tmp_path / "entry", Rows(1, (Part((2,), FLOAT32),))
    inner: list[str] = []

    def read(row: int) -> list[np.ndarray]:
        if not inner:
            inner.append("")
            inner[0] = make_samples(entry, rows, read, jobs=1)
        return [np.full(2, row, np.float32)]

    outer = make_samples(entry, rows, read, jobs=1)

    assert outer == inner[0] == find_samples(entry, rows)
    assert list(tmp_path.iterdir()) == [entry]


def test_more_samples_than_the_disk_holds_are_refused(tmp_path: Path) -> None:
    rows = Rows(1 << 40, (Part((1 << 20,), FLOAT32),))

    with pytest.raises(DataError, match="4611686018427387904 bytes"):
        make_samples(tmp_path / "entry", rows, lambda _: [np.zeros(1)], jobs=1)

    assert list(tmp_path.iterdir()) == []


def synthetic(make_benchmark: MakeBenchmark, tmp_path: Path, dtype: str, seed: int) -> SampleSet:
    benchmark = make_benchmark(
        input={"name": "x", "shape": [3, 8, 8], "dtype": dtype},
        dataset={"kind": "synthetic", "count": 5, "seed": seed},
    )
    return prepare(benchmark, None, cache_dir=tmp_path / f"cache-{seed}")


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int32", "int64"])
def test_synthetic_samples_come_from_a_seed(
    make_benchmark: MakeBenchmark, tmp_path: Path, dtype: str
) -> None:
    samples = synthetic(make_benchmark, tmp_path, dtype, 1)
    other = synthetic(make_benchmark, tmp_path, dtype, 2)

    assert samples.synthetic
    assert samples.description == "5 synthetic samples of seed 1"
    assert samples.labels is None
    assert samples.names == ()
    array = samples.open()["x"]
    assert (array.shape, array.dtype) == ((5, 3, 8, 8), np.dtype(dtype))
    assert len({row.tobytes() for row in array}) == 5
    assert (array != other.open()["x"]).any()
    assert synthetic(make_benchmark, tmp_path / "again", dtype, 1).digest == samples.digest


def swap_contents(one: Path, other: Path) -> None:
    """Exchange the contents of two files; names, sizes, times and inodes stay."""
    contents = one.read_bytes(), other.read_bytes()
    length = max(map(len, contents))
    for path, content in ((one, contents[1]), (other, contents[0])):
        path.write_bytes(content.ljust(length, b"\0"))
        os.utime(path, ns=(1, 1))


def padded(folder: Path) -> None:
    """Give all images the same size and time; decoders ignore what follows an image."""
    paths = sorted(folder.glob("*.png"))
    length = max(path.stat().st_size for path in paths)
    for path in paths:
        path.write_bytes(path.read_bytes().ljust(length, b"\0"))
        os.utime(path, ns=(1, 1))


def test_n8_images_replaced_in_place_with_equal_sizes_and_times_are_made_again(
    three: Path, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    padded(three)
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")
    before = first.open()["x"].copy()

    swap_contents(three / "a.png", three / "b.png")
    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.digest != first.digest
    assert again.open()["x"][[1, 0, 2]].tobytes() == before.tobytes()


def test_n8_an_image_that_is_not_among_those_that_are_read_is_made_again(
    three: Path, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    # So large that only the first and the last are read.
    for path in three.iterdir():
        os.truncate(path, READ_BYTES * 2 // 3)
        os.utime(path, ns=(1, 1))
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    with (three / "b.png").open("r+b") as file:
        file.write((three / "a.png").read_bytes()[:4096])
    os.utime(three / "b.png", ns=(1, 1))
    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.digest != first.digest


def test_n8_images_exchanged_by_renaming_are_made_again(
    three: Path, make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    padded(three)
    first = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")
    before = first.open()["x"].copy()

    (three / "a.png").rename(three / "aside")
    (three / "b.png").rename(three / "a.png")
    (three / "aside").rename(three / "b.png")
    again = prepare(make_benchmark(), None, cache_dir=tmp_path / "cache")

    assert again.open()["x"][[1, 0, 2]].tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"shape": [1, 8, 8], "layout": "NCHW"}, r"order: L\}\.$"),
        ({"shape": [8, 8, 1], "layout": "NHWC"}, r"order: L\}\.$"),
        ({"shape": [1, 8, 8]}, r"order: L\}\. And add `layout: NCHW`"),
    ],
)
def test_c11_a_model_of_one_channel_is_told_the_step(
    make_benchmark: MakeBenchmark,
    make_images: MakeImages,
    tmp_path: Path,
    tensor: dict[str, object],
    says: str,
) -> None:
    make_images("a.png")
    benchmark = make_benchmark(input={"name": "x", "dtype": "float32", **tensor})

    with pytest.raises(ConfigError, match=says):
        prepare(benchmark, None, cache_dir=tmp_path / "cache")


def test_c11_what_pillow_warns_of_does_not_reach_the_screen(tmp_path: Path) -> None:
    orientation_alone_of_five = b"II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + orientation_alone_of_five)
    code = "import pathlib, sut, data.decode; data.decode.decode(pathlib.Path('a.jpg'))"

    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], cwd=tmp_path,
        check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
