"""Trackers of the package `trackers`, where it is installed: pip install -e '.[video]'."""

from __future__ import annotations

import numpy as np
import pytest

from sut.base.errors import ConfigError
from sut.video.track.interval import is_inferred
from sut.video.track.presets import open_tracker
from sut.video.types import Boxes, Pixels, boxes_of, no_boxes

pytest.importorskip("trackers", reason="the package trackers is not installed")

IMAGE = Pixels.of(np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8))
NAMES = ["perf", "accuracy", "sort", "ocsort"]


def walkers(number: int) -> Boxes:
    """Two objects that walk steadily, one after the other's track."""
    places = [
        [10 + 3 * number, 50, 60 + 3 * number, 170],
        [400 - 2 * number, 200, 450 - 2 * number, 340],
    ]
    return boxes_of(np.array(places, np.float32), np.full(2, 0.9, np.float32), np.array([0, 3]))


@pytest.mark.parametrize("interval", [0, 3])
@pytest.mark.parametrize("name", NAMES)
def test_steady_objects_keep_identity_and_class_and_skipped_frames_are_filled(
    name: str, interval: int
) -> None:
    tracker = open_tracker(name, 30)
    identities: dict[int, set[int]] = {0: set(), 3: set()}
    worst = 0.0

    for number in range(60):
        truth = walkers(number)
        found = tracker.update(truth if is_inferred(number, interval) else None, IMAGE)
        if number < 40:  # until identities are confirmed and the filters know the movement
            continue
        assert sorted(found.label.tolist()) == [0, 3]
        for label, identity, box in zip(found.label, found.identity, found.xyxy, strict=True):
            identities[int(label)].add(int(identity))
            worst = max(worst, float(np.abs(truth.xyxy[truth.label == label] - box).max()))

    assert all(len(found) == 1 and -1 not in found for found in identities.values())
    assert identities[0] != identities[3]
    assert worst < 1.5


@pytest.mark.parametrize("name", NAMES)
def test_frames_without_objects_and_boxes_without_area_do_no_harm(name: str) -> None:
    tracker = open_tracker(name, 30)
    flat = boxes_of(np.array([[5, 5, 5, 5]], np.float32), np.ones(1, np.float32), np.array([1]))

    counts = [len(tracker.update(one, IMAGE)) for one in (no_boxes(), None, flat, flat, no_boxes())]

    assert counts[:2] == [0, 0]
    assert max(counts) <= 1


@pytest.mark.parametrize(
    ("name", "algorithm"), [("perf", "bytetrack"), ("accuracy", "botsort"), ("ocsort", "ocsort")]
)
def test_it_says_algorithm_version_and_all_parameters(name: str, algorithm: str) -> None:
    described = open_tracker(name, 30, {"lost_track_buffer": 60}).describe()

    assert (described["preset"], described["algorithm"]) == (name, algorithm)
    assert str(described["package"]).startswith("trackers ")
    parameters = described["parameters"]
    assert isinstance(parameters, dict)
    assert parameters["lost_track_buffer"] == 60
    assert {"minimum_consecutive_frames", "high_conf_det_threshold"} < set(parameters)


@pytest.mark.parametrize(
    ("parameters", "fragment"),
    [
        ({"lost_track_bufer": 1}, 'Did you mean "lost_track_buffer"'),
        ({"lost_track_buffer": 1.5}, "lost_track_buffer is 1.5; expected a value like 30"),
        ({"lost_track_buffer": -1}, "Correct its parameters"),
        ({"frame_rate": 25.0}, "no parameter 'frame_rate'"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, object], fragment: str) -> None:
    with pytest.raises(ConfigError, match=fragment):
        open_tracker("perf", 30, parameters)
