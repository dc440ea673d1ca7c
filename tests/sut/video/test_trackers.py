"""Trackers that need no package, and which frames are inferred."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.base.errors import ConfigError
from sut.video.track.interval import inferred_frames, is_inferred
from sut.video.track.overlap import overlaps
from sut.video.track.presets import open_tracker
from sut.video.types import Boxes, Pixels, boxes_of, no_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.video.types import Tracker

IMAGE = Pixels.of(np.zeros((360, 640, 3), np.uint8))


def boxes(*places: Sequence[float], label: int = 0, score: float = 0.9) -> Boxes:
    count = len(places)
    return boxes_of(
        np.array(places, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.full(count, label, np.int64),
    )


def max_perf(**parameters: object) -> Tracker:
    return open_tracker("max_perf", 30, parameters)


@pytest.mark.parametrize("interval", [0, 1, 3, 10])
@pytest.mark.parametrize("frames", [0, 1, 11, 12, 30])
def test_one_frame_in_k_plus_one_is_inferred(frames: int, interval: int) -> None:
    inferred = [number for number in range(frames) if is_inferred(number, interval)]

    assert len(inferred) == inferred_frames(frames, interval) == -(-frames // (interval + 1))
    assert inferred[:1] == [0][:frames]
    assert set(np.diff(inferred)) <= {interval + 1}


def test_an_overlap_is_the_share_of_the_union() -> None:
    one = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)

    expected = np.array([[1 / 3, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(overlaps(one, other), expected, rtol=1e-6)


def test_without_a_tracker_boxes_pass_and_a_skipped_frame_has_none() -> None:
    tracker = open_tracker("none", 30)
    found = boxes([0, 0, 10, 10])

    assert tracker.update(found, IMAGE) is found
    assert len(tracker.update(None, IMAGE)) == 0


def test_objects_that_pass_each_other_keep_their_identities() -> None:
    tracker = max_perf()

    for step in range(40):
        right = [10.0 + 5 * step, 100, 50.0 + 5 * step, 180]
        left = [300.0 - 5 * step, 110, 340.0 - 5 * step, 190]
        pair = [right, left] if step % 2 else [left, right]
        found = tracker.update(boxes(*pair), IMAGE)
        order = [1, 0] if step % 2 else [0, 1]
        assert found.identity.tolist() == order


@pytest.mark.parametrize("interval", [1, 3, 10])
def test_a_steady_object_is_where_the_tracker_says_in_skipped_frames(interval: int) -> None:
    tracker = max_perf()

    for number in range(4 * (interval + 1)):
        place = [10.0 + 2 * number, 50, 90.0 + 2 * number, 200 + number]
        found = tracker.update(boxes(place) if is_inferred(number, interval) else None, IMAGE)
        assert found.identity.tolist() == [0]
        # One inference tells the place, two tell the movement.
        if number > interval:
            np.testing.assert_allclose(found.xyxy, [place], atol=1e-3)


def test_the_longer_since_an_inference_the_less_overlap_makes_an_object() -> None:
    jump = [boxes([0, 0, 80, 80]), boxes([66, 0, 146, 80])]  # they overlap by 14 / 146

    each, skipping = max_perf(), max_perf()
    at_once = [each.update(frame, IMAGE).identity.tolist() for frame in jump]
    first = skipping.update(jump[0], IMAGE).identity.tolist()
    for _ in range(10):
        skipping.update(None, IMAGE)
    later = skipping.update(jump[1], IMAGE).identity.tolist()

    assert (at_once, first, later) == ([[0], [1]], [0], [0])


def test_an_object_is_predicted_inside_the_frame_only() -> None:
    tracker = max_perf()
    for x in (580, 600):
        tracker.update(boxes([x, 10, x + 40, 50]), IMAGE)

    seen = [tracker.update(None, IMAGE).xyxy.tolist() for _ in range(2)]

    assert seen == [[[620, 10, 640, 50]], []]


def test_a_hidden_object_is_not_shown_and_keeps_its_identity_for_a_while() -> None:
    tracker = max_perf(keep_s=0.2)
    place = [100, 100, 150, 200]
    tracker.update(boxes(place), IMAGE)

    hidden = tracker.update(no_boxes(), IMAGE)
    skipped = tracker.update(None, IMAGE)
    back = tracker.update(boxes(place), IMAGE)
    for _ in range(7):  # one frame more than 0.2 s
        tracker.update(no_boxes(), IMAGE)
    late = tracker.update(boxes(place), IMAGE)

    assert (len(hidden), len(skipped)) == (0, 0)
    assert (back.identity.tolist(), late.identity.tolist()) == ([0], [1])


def test_a_box_of_another_class_is_another_object() -> None:
    tracker = max_perf()
    tracker.update(boxes([0, 0, 50, 50], label=1), IMAGE)

    assert tracker.update(boxes([0, 0, 50, 50], label=2), IMAGE).identity.tolist() == [1]


def test_a_low_score_continues_an_object_and_begins_none() -> None:
    tracker = max_perf(first_score=0.5)
    place, other = [0, 0, 50, 50], [200, 200, 250, 250]

    first = tracker.update(boxes(place, score=0.4), IMAGE)
    begun = tracker.update(boxes(place, score=0.6), IMAGE)
    next_ = tracker.update(boxes(place, other, score=0.4), IMAGE)

    assert [one.identity.tolist() for one in (first, begun, next_)] == [[-1], [0], [0, -1]]


def test_boxes_without_area_do_no_harm() -> None:
    tracker = max_perf()

    frames = [boxes([5, 5, 5, 5], [9, 9, 1, 1], [0, 0, 50, 50])] * 3
    *_, last = (tracker.update(frame, IMAGE).identity.tolist() for frame in frames)

    assert len(set(last)) == 3
    assert last[2] == 2


def test_five_hundred_objects_in_a_frame_each_have_an_identity() -> None:
    places = np.random.default_rng(1).uniform(0, 300, (500, 2)).astype(np.float32)
    crowd = boxes(*np.concatenate([places, places + 40], axis=1))
    tracker = max_perf()

    first, second = (tracker.update(crowd, IMAGE).identity for _ in range(2))

    assert sorted(first) == list(range(500))
    np.testing.assert_array_equal(first, second)


def test_fifty_objects_cost_less_than_a_millisecond_a_frame() -> None:
    tracker = max_perf()
    corners = np.array([[70 * (k % 10), 70 * (k // 10)] for k in range(50)], np.float32)
    times_ns = []

    for step in range(30):
        moved = corners + 2 * step
        frame = boxes(*np.concatenate([moved, moved + 60], axis=1))
        start_ns = time.process_time_ns()
        found = tracker.update(frame, IMAGE)
        times_ns.append(time.process_time_ns() - start_ns)
        assert found.identity.tolist() == list(range(50))

    assert min(times_ns) < 1_000_000  # the least: other processes share the caches


def test_a_tracker_says_its_preset_algorithm_and_parameters() -> None:
    assert max_perf(keep_s=2).describe() == {
        "preset": "max_perf",
        "algorithm": "iou",
        "parameters": {
            "least_overlap": 0.3,
            "first_score": 0.0,
            "keep_s": 2,
            "velocity_gain": 0.5,
        },
    }
    assert open_tracker("none", 30).describe()["algorithm"] == "none"


@pytest.mark.parametrize("between", [",", ";"])
def test_parameters_may_stand_behind_the_name(between: str) -> None:
    text = f"max_perf:keep_s=2{between}velocity_gain=0.25"

    described = open_tracker(text, 30).describe()

    assert described["preset"] == text  # so that plays with other parameters are other rows
    parameters = described["parameters"]
    assert isinstance(parameters, dict)
    assert (parameters["keep_s"], parameters["velocity_gain"]) == (2, 0.25)


@pytest.mark.parametrize(
    ("name", "parameters", "fragment"),
    [
        ("max_perf:keep_s", {}, "'keep_s'; expected KEY=VALUE"),
        ("max_perf:keep_s=[1", {}, "expected KEY=VALUE"),
        ("max_perf:keep=1", {}, 'Did you mean "keep_s"?'),
        ("max_pref", {}, 'Did you mean "max_perf"?'),
        ("max_perf", {"keeps": 1}, 'Did you mean "keep_s"?'),
        ("max_perf", {"keep_s": "long"}, "keep_s is 'long'"),
        ("max_perf", {"keep_s": -1}, "keep_s is -1; expected 0 or more"),
        ("max_perf", {"keep_s": float("nan")}, "keep_s is nan"),
        ("max_perf", {"first_score": 2}, "first_score is 2"),
        ("max_perf", {"velocity_gain": 0}, "velocity_gain is 0"),
        ("max_perf", {"least_overlap": 0}, "least_overlap is 0; expected above 0"),
        ("none", {"keep_s": 1}, "It has none."),
    ],
)
def test_a_wrong_tracker_is_refused(
    name: str, parameters: dict[str, object], fragment: str
) -> None:
    with pytest.raises(ConfigError, match=fragment.replace("?", r"\?")):
        open_tracker(name, 30, parameters)


@pytest.mark.skipif(find_spec("trackers") is not None, reason="the package trackers is installed")
def test_a_tracker_whose_package_is_absent_names_the_extra() -> None:
    with pytest.raises(ConfigError, match=r"pip install -e '.\[video\]'"):
        open_tracker("perf", 30)
