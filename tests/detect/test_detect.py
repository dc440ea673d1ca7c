"""What `make detect` makes itself: a pseudo ground truth and pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Picture

from tests.detect import coco
from tests.detect.draw import draw
from tests.detect.truth import objects_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PERSON, CAT = 1, 17


def boxes(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    """Return boxes of ymin, xmin, ymax, xmax, score and category, of sample 0."""
    return np.array([(0, *row) for row in rows], np.float32).reshape(-1, 7)


@pytest.mark.parametrize(
    ("other", "sure"),
    [
        ((0.2, 0.2, 0.6, 0.6, 0.5, PERSON), True),
        ((0.2, 0.22, 0.6, 0.6, 0.5, PERSON), True),
        ((0.2, 0.2, 0.6, 0.6, 0.25, PERSON), False),  # 0.375 on average
        ((0.2, 0.2, 0.6, 0.6, 0.5, CAT), False),
        ((0.2, 0.4, 0.6, 0.8, 0.5, PERSON), False),
    ],
)
def test_an_object_is_a_box_that_the_mirror_image_has_too(
    other: tuple[float, ...], sure: bool
) -> None:
    found = objects_of(boxes((0.2, 0.2, 0.6, 0.6, 0.5, PERSON)), boxes(other))

    assert [(each.category, each.sure) for each in found] == [(PERSON, sure)]


def test_one_box_of_the_mirror_image_confirms_one_box() -> None:
    twice = (0.2, 0.2, 0.6, 0.6, 0.5, PERSON)

    found = objects_of(boxes(twice, twice), boxes(twice))

    assert [each.sure for each in found] == [True, False]


def test_an_object_lies_in_the_middle_of_its_two_boxes() -> None:
    found = objects_of(
        boxes((0.2, 0.2, 0.6, 0.6, 0.5, PERSON)), boxes((0.2, 0.24, 0.6, 0.64, 0.5, PERSON))
    )

    assert found[0].corners == pytest.approx((0.2, 0.22, 0.6, 0.62))


def test_annotations_are_in_pixels_and_unsure_places_are_crowds(tmp_path: Path) -> None:
    objects = [
        coco.Object(PERSON, (0.1, 0.2, 0.5, 0.7), sure=True),
        coco.Object(CAT, (0.0, 0.0, 1.0, 1.0), sure=False),
    ]

    coco.write_annotations(tmp_path / "a.json", [coco.Image("x.png", 200, 100, objects)], "PSEUDO")

    content = json.loads((tmp_path / "a.json").read_text("utf-8"))
    person, cat = content["annotations"]
    assert person["bbox"] == pytest.approx([40, 10, 100, 40])
    assert [person["iscrowd"], cat["iscrowd"]] == [0, 1]
    assert [person["category_id"], cat["category_id"]] == [PERSON, CAT]
    assert content["info"]["description"] == "PSEUDO"
    assert {each["name"] for each in content["categories"]} >= {"person", "cat", "toothbrush"}


def test_boxes_are_drawn_where_they_lie_and_weak_ones_are_not(tmp_path: Path) -> None:
    Picture.new("RGB", (200, 100), "black").save(tmp_path / "x.bmp")
    found = boxes((0.25, 0.5, 0.75, 0.75, 0.8, PERSON), (0.1, 0.1, 0.3, 0.3, 0.2, CAT))
    log = tmp_path / "log.json"
    log.write_text(json.dumps([{"seq_id": 0, "qsl_idx": 0, "data": found.tobytes().hex()}]))

    counts = draw(log, [tmp_path / "x.bmp"], tmp_path)

    with Picture.open(tmp_path / "x.png") as drawn:
        assert drawn.getpixel((125, 75)) == drawn.getpixel((150, 50)) != (0, 0, 0)
        assert drawn.crop((0, 0, 90, 100)).getextrema() == ((0, 0), (0, 0), (0, 0))
    assert counts == {"x.bmp": 1}
