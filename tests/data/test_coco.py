"""A COCO annotation file gives the images, their order and their boxes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from data.dataset_schema import CocoData
from data.datasets import list_samples
from data.datasets.coco import list_coco
from data.tasks.detection.truth import TrueBox
from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.data.conftest import MakeBenchmark, MakeImages

IMAGES = [
    {"id": 9, "file_name": "b.png", "height": 10, "width": 12, "license": 1},
    {"id": 4, "file_name": "a.png", "height": 10.0, "width": 12.0},
]
BOX = {"id": 0, "image_id": 4, "category_id": 18, "bbox": [1, 2, 3.5, 4], "area": 9.5,
       "iscrowd": 1, "segmentation": {"counts": [1]}}  # fmt: skip
OPTIONS = CocoData(annotations="boxes.json", images=".")


def written(folder: Path, **changes: object) -> Path:
    content = {"images": IMAGES, "annotations": [BOX, {**BOX, "id": 1, "image_id": 77}], **changes}
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder


def test_samples_are_in_the_order_of_the_file(make_images: MakeImages) -> None:
    folder = written(make_images("a.png", "b.png"))

    found = list_coco(OPTIONS, folder)

    assert found.names == ("b.png", "a.png")
    assert found.labels is not None
    assert [(label.id, label.height, label.width) for label in found.labels] == [
        (9, 10, 12), (4, 10, 12),
    ]  # fmt: skip
    assert found.labels[0].boxes == ()
    assert found.labels[1].boxes == (TrueBox(0, 18, (1, 2), (3.5, 4), 9.5, crowd=True),)
    assert found.description == f"2 images with 1 boxes of {folder / 'boxes.json'}"


def test_a_benchmark_names_the_annotations(
    make_benchmark: MakeBenchmark, make_images: MakeImages
) -> None:
    written(make_images("a.png", "b.png"))
    dataset = {"kind": "coco", "folder": "images", "annotations": "boxes.json", "images": "."}

    assert list_samples(make_benchmark(dataset=dataset), None).names == ("b.png", "a.png")


def test_a_folder_of_data_is_known_by_cocos_names(
    make_benchmark: MakeBenchmark, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png", "b.png").rename(tmp_path / "val2017")
    (tmp_path / "annotations").mkdir()
    (written(tmp_path) / "boxes.json").rename(tmp_path / "annotations/instances_val2017.json")
    synthetic = make_benchmark(dataset={"kind": "synthetic", "count": 4})

    assert list_samples(synthetic, tmp_path).names == ("b.png", "a.png")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": [IMAGES[0], IMAGES[0]]}, r"boxes\.json: images: file_name b\.png is repeated"),
        ({"images": [IMAGES[0], {**IMAGES[1], "id": 9}]}, r"boxes\.json: images: id 9 is repeated"),
        ({"annotations": [BOX, BOX]}, r"boxes\.json: annotations: id 0 is repeated"),
        ({"images": [{**IMAGES[0], "file_name": "c.png"}]}, r"1 of 1 images are not in .*c\.png"),
        ({"images": [{**IMAGES[0], "height": 0}]}, r"boxes\.json: .*`>= 1|> 0.*images"),
        ({"annotations": [{**BOX, "bbox": [1, 2, 3]}]}, r"boxes\.json: .*bbox"),
        ({"annotations": 3}, r"boxes\.json: .*annotations.*; expected COCO annotations"),
    ],
)
def test_a_broken_annotation_file_is_named(
    make_images: MakeImages, changes: dict[str, object], said: str
) -> None:
    folder = written(make_images("a.png", "b.png"), **changes)

    with pytest.raises(DataError, match=said):
        list_coco(OPTIONS, folder)


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"boxes\.json: cannot be read: No such file"):
        list_coco(OPTIONS, tmp_path)
    with pytest.raises(DataError, match=r"val2017: no such folder"):
        list_coco(CocoData(annotations="boxes.json"), written(tmp_path))
