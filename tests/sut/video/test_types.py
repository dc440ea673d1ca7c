"""Boxes keep their rows together."""

from __future__ import annotations

import numpy as np
import pytest

from sut.video.types import NO_IDENTITY, boxes_of, no_boxes


def test_boxes_without_a_tracker_have_no_identity() -> None:
    boxes = boxes_of(np.ones((3, 4), np.float32), np.ones(3, np.float32), np.arange(3))

    assert boxes.identity.tolist() == [NO_IDENTITY] * 3


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True])])
def test_the_parts_of_a_box_stay_together(rows: np.ndarray) -> None:
    xyxy = np.arange(12, dtype=np.float32).reshape(3, 4)
    boxes = boxes_of(xyxy, np.array([0, 0.4, 0.8], np.float32), np.arange(3))

    some = boxes.with_identity(np.array([7, 8, 9])).take(rows)

    np.testing.assert_array_equal(some.xyxy[:, 0], some.label * 4)
    np.testing.assert_allclose(some.score, some.label * 0.4, rtol=1e-6)
    np.testing.assert_array_equal(some.identity, some.label + 7)


def test_a_frame_with_nothing_in_it_has_boxes_of_the_same_types() -> None:
    nothing = no_boxes()

    assert len(nothing) == 0
    assert nothing.xyxy.shape == (0, 4)
    assert [nothing.xyxy.dtype, nothing.label.dtype, nothing.identity.dtype] == [
        np.float32, np.int64, np.int64,
    ]  # fmt: skip
