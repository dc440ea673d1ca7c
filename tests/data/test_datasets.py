from __future__ import annotations

from pathlib import Path

import pytest

from data.benchmark import load_benchmark
from data.dataset_schema import FolderData, ImagenetData
from data.datasets import list_samples
from data.datasets.folder import list_folder
from data.datasets.imagenet import list_imagenet
from data.preprocess import prepare
from data.tasks.classification import read_label
from sut.base.errors import ConfigError, DataError
from tests.data.conftest import MakeBenchmark, MakeImages, needs_assets

LABELLED = FolderData(labels="labels.csv", classes=10)


@needs_assets
def test_the_built_in_photos_carry_their_labels() -> None:
    listing = list_samples(load_benchmark("efficientnet-lite0"), None)

    assert len(listing.names) == 20
    assert listing.names[0] == "imagenet_00_243.jpg"
    assert listing.labels is not None
    assert listing.labels[:3] == (243, 559, 438)


@needs_assets
def test_other_photos_than_the_benchmarks_are_refused(make_benchmark: MakeBenchmark) -> None:
    dataset = {
        "kind": "builtin",
        "package": "foolbox==3.3.4",
        "folder": "foolbox/data",
        "pattern": r"imagenet_0\d_(?P<label>\d+)\.jpg",
        "sha256": "0" * 64,
    }

    with pytest.raises(DataError, match=r"0000.*reinstall"):
        list_samples(make_benchmark(dataset=dataset), None)


@pytest.mark.parametrize(
    "pattern", ["(", "a{99999999999}(?P<label>.)", "[[a](?P<label>.)", "(" * 5000]
)
def test_c11_a_pattern_that_python_does_not_read_is_refused(
    make_benchmark: MakeBenchmark, pattern: str
) -> None:
    dataset = {"kind": "builtin", "package": "p==1", "folder": "f", "sha256": "0" * 64}

    with pytest.raises(ConfigError, match="pattern is not a regular expression"):
        make_benchmark(dataset={**dataset, "pattern": pattern})


def test_built_in_photos_that_are_not_installed_say_how_to_install_them(
    make_benchmark: MakeBenchmark,
) -> None:
    dataset = {
        "kind": "builtin",
        "package": "no-such-package==1",
        "folder": "f",
        "pattern": "(?P<label>.)",
        "sha256": "0" * 64,
    }

    with pytest.raises(DataError, match=r"no-such-package .*`make setup`"):
        list_samples(make_benchmark(dataset=dataset), None)


def test_imagenets_map_gives_order_and_labels(make_images: MakeImages) -> None:
    folder = make_images("b.JPEG", "a.JPEG")
    (folder / "val_map.txt").write_text("b.JPEG 65\na.JPEG 970\n", "ascii")

    listing = list_imagenet(ImagenetData(), folder, read_label)

    assert listing.names == ("b.JPEG", "a.JPEG")
    assert listing.labels == (65, 970)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.JPEG 1\nc.JPEG 2\n", r"1 of 2 .*: c\.JPEG"),
        ("a.JPEG 1\na.JPEG 2\n", r"val_map\.txt:2: a\.JPEG"),
        ("a.JPEG\n", r'val_map\.txt:1: "a\.JPEG"'),
        ("a.JPEG 1 2\n", "file name and a label"),
        ("a.JPEG cat\n", r'val_map\.txt:1: label "cat"'),
        ("a.JPEG 1000\n", "label 1000; expected 0 to 999"),
        ("a.JPEG -1\n", 'label "-1"; expected'),
        ("\n\n", "the file is empty"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    make_images: MakeImages, text: str, message: str
) -> None:
    folder = make_images("a.JPEG")
    (folder / "val_map.txt").write_text(text, "ascii")

    with pytest.raises(DataError, match=message):
        list_imagenet(ImagenetData(), folder, read_label)


def test_a_missing_map_is_named(make_images: MakeImages) -> None:
    with pytest.raises(DataError, match=r"val_map\.txt: .*lines such as"):
        list_imagenet(ImagenetData(), make_images("a.JPEG"), read_label)


@pytest.mark.parametrize(
    "text",
    [
        "b.png,3\na.png,1\n",
        "file,label\nb.png,3\na.png,1\n",
        "\ufeffImage name,Class\r\nb.png, 3\r\n\r\na.png,1\r\n",
        '"b.png","3"\n"a.png","1"',
    ],
    ids=["plain", "header", "spreadsheet", "quoted"],
)
def test_a_labels_file_gives_order_and_labels(make_images: MakeImages, text: str) -> None:
    folder = make_images("a.png", "b.png")
    (folder / "labels.csv").write_bytes(text.encode())

    listing = list_folder(LABELLED, folder, read_label)

    assert listing.names == ("b.png", "a.png")
    assert listing.labels == (3, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,1\n", r"1 images .*b\.png"),
        ("a.png,1\nb.png,2\nc.png,3\n", r"1 of 3 .*: c\.png"),
        ("a.png,1\nb.png,2\na.png,1\n", r"labels\.csv:3: a\.png"),
        ("a.png,1\nb.png,cat\n", r'labels\.csv:2: label "cat"'),
        ("a.png,cat\nb.png,1\n", r'labels\.csv:1: label "cat"'),
        ("a.png,1\nb.png,1.5\n", 'label "1.5"'),
        ("a.png,1\nb.png,\u00b2\n", "expected a whole number"),
        ("a.png,1\nb.png,10\n", "label 10; expected 0 to 9"),
        ("a.png,1\nb.png\n", r"labels\.csv:2: 1 columns"),
        ("a.png;1\nb.png;2\n", r"labels\.csv:1: 1 columns"),
        ("", "holds no labels"),
        ("file,label\n", "holds no labels"),
        ("a.png,\xff\n", "cannot be read"),
        ('a.png,1\n"b.png\n",2\n', r"labels\.csv:2: .*close its quotes"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    make_images: MakeImages, text: str, message: str
) -> None:
    folder = make_images("a.png", "b.png")
    encoding = "latin-1" if "\xff" in text else "utf-8"
    (folder / "labels.csv").write_text(text, encoding)

    with pytest.raises(DataError, match=message):
        list_folder(LABELLED, folder, read_label)


def test_a_folder_without_labels_is_sorted(make_images: MakeImages) -> None:
    folder = make_images("b.png", "a.PNG", "c.jpeg")
    (folder / "notes.txt").write_text("no image", "ascii")

    listing = list_folder(FolderData(), folder, read_label)

    assert listing.names == ("a.PNG", "b.png", "c.jpeg")
    assert listing.labels is None


def test_c10_folders_below_are_walked(make_images: MakeImages) -> None:
    folder = make_images("cat/b.png", "dog/a.png", "c.png")
    (folder / "link").symlink_to(folder / "cat")
    (folder / "cat" / "loop").symlink_to(folder)

    listing = list_folder(FolderData(), folder, read_label)

    assert sorted(listing.names) == ["c.png", "cat/b.png", "dog/a.png"]
    assert listing.names == tuple(sorted(listing.names))


@pytest.mark.parametrize(
    "text",
    ["\ufeffa.png,1\nb.png,2\n", 'file, label\n"a.png", "1"\n"b.png", "2"\n', "a.png,1\r\nb.png,2"],
)
def test_c10_labels_are_read_as_spreadsheets_write_them(make_images: MakeImages, text: str) -> None:
    folder = make_images("a.png", "b.png")
    (folder / "labels.csv").write_bytes(text.encode())

    listing = list_folder(LABELLED, folder, read_label)

    assert (listing.names, listing.labels) == (("a.png", "b.png"), (1, 2))


def test_c10_hidden_files_and_unknown_kinds_are_left_out_and_named(make_images: MakeImages) -> None:
    folder = make_images("a.png", "b.jfif.png")
    for name in (
        "._a.png",
        ".DS_Store",
        ".thumbs/a.png",
        "__MACOSX/a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
        "x.HEIC",
        "y.heic",
        "z",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"none")
    (folder / "labels.csv").write_text("a.png,1\nb.jfif.png,2\n", "utf-8")

    listing = list_folder(LABELLED, folder, read_label)

    assert listing.names == ("a.png", "b.jfif.png")
    assert "5 hidden" in listing.description
    assert "2 .heic" in listing.description
    assert "1 without a suffix" in listing.description
    assert ".csv" not in listing.description


def test_c10_a_folder_of_unknown_kinds_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    (tmp_path / "._b.png").touch()

    with pytest.raises(DataError, match=r"no images in it \(left out: 1 hidden; .*1 \.heic"):
        list_folder(FolderData(), tmp_path, read_label)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".gif", ".pgm", ".JPEG"])
def test_c10_other_suffixes_of_images_are_taken(make_images: MakeImages, suffix: str) -> None:
    folder = make_images("a.jpg")
    (folder / "a.jpg").rename(folder / f"a{suffix}")

    assert list_folder(FolderData(), folder, read_label).names == (f"a{suffix}",)


@pytest.mark.parametrize(
    "written",
    [
        "./cat/é.png",
        "cat//é.png",
        "cat/../cat/é.png",
        "cat\\é.png",
        "cat/e\u0301.png",
        "{}/cat/é.png",
    ],
)
def test_c10_the_path_of_an_image_may_be_written_in_any_way(
    make_images: MakeImages, written: str
) -> None:
    folder = make_images("cat/é.png")
    (folder / "labels.csv").write_text(f"{written.format(folder)},3\n", "utf-8")

    listing = list_folder(LABELLED, folder, read_label)

    assert (listing.names, listing.labels) == (("cat/é.png",), (3,))


def test_c10_one_image_written_in_two_ways_is_repeated(make_images: MakeImages) -> None:
    folder = make_images("a.png")
    (folder / "labels.csv").write_text("a.png,1\n./a.png,1\n", "utf-8")

    with pytest.raises(DataError, match=r"a\.png is repeated"):
        list_folder(LABELLED, folder, read_label)


def test_c10_folders_that_the_labels_do_not_mention_are_left_out(make_images: MakeImages) -> None:
    folder = make_images("a.png", "old/b.png")
    (folder / "labels.csv").write_text("a.png,1\n", "utf-8")

    listing = list_folder(LABELLED, folder, read_label)

    assert listing.names == ("a.png",)
    assert "1 more in folders without labels" in listing.description


def test_c10_imagenets_map_may_begin_with_a_mark_and_name_paths(make_images: MakeImages) -> None:
    folder = make_images("val/b.JPEG", "a.JPEG")
    (folder / "val_map.txt").write_bytes("\ufeff./val/b.JPEG 65\r\na.JPEG 970\r\n".encode())

    listing = list_imagenet(ImagenetData(), folder, read_label)

    assert (listing.names, listing.labels) == (("val/b.JPEG", "a.JPEG"), (65, 970))


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0.png", "..", "/", "con\udce9.png"])
def test_c10_a_name_that_no_file_can_have_is_missing(make_images: MakeImages, name: str) -> None:
    folder = make_images("a.png")
    content = f'a.png,1\n"{name}",2\n'.encode("utf-8", "surrogateescape")
    (folder / "labels.csv").write_bytes(content)

    with pytest.raises(DataError, match=r"labels\.csv"):
        list_folder(LABELLED, folder, read_label)


def test_c4_an_image_whose_name_is_not_utf8_is_prepared(
    make_benchmark: MakeBenchmark, make_images: MakeImages, tmp_path: Path
) -> None:
    folder = make_images("a.png")
    (folder / "a.png").rename(folder / "caf\udce9.png")

    samples = prepare(make_benchmark(), folder, cache_dir=tmp_path / "cache")

    assert samples.names == ("caf\udce9.png",)


def test_a_folder_that_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images .*\.bmp"):
        list_folder(FolderData(), tmp_path, read_label)
    with pytest.raises(DataError, match=r"none: no such folder"):
        list_folder(FolderData(), tmp_path / "none", read_label)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: .*a folder"):
        list_folder(FolderData(), tmp_path / "file", read_label)


def test_a_folder_on_the_command_line_wins(
    make_benchmark: MakeBenchmark, make_images: MakeImages, tmp_path: Path
) -> None:
    benchmark = make_benchmark(dataset={"kind": "folder", "folder": "elsewhere"})

    assert list_samples(benchmark, make_images("a.png")).folder == tmp_path / "images"


@pytest.mark.parametrize("kind", ["folder", "imagenet"])
def test_a_benchmark_without_a_folder_asks_for_one(
    make_benchmark: MakeBenchmark, kind: str
) -> None:
    with pytest.raises(ConfigError, match=r"--data DIR"):
        list_samples(make_benchmark(dataset={"kind": kind}), None)


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [("val_map.txt", "a.png 7\n", (7,)), ("labels.csv", "a.png,7\n", (7,)), ("x.txt", "", None)],
)
def test_a_benchmark_of_its_own_samples_reads_a_folder_by_what_lies_in_it(
    make_benchmark: MakeBenchmark,
    make_images: MakeImages,
    name: str,
    text: str,
    labels: tuple[int, ...] | None,
) -> None:
    folder = make_images("a.png")
    (folder / name).write_text(text, "ascii")
    benchmark = make_benchmark(dataset={"kind": "synthetic", "count": 3})

    assert list_samples(benchmark, folder).labels == labels
