"""Tracks and the files that hold them, and how right they are."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from data.packages import package_path
from sut.base.errors import ConfigError, DataError
from sut.video.accuracy.metrics import TrackAccuracy, judge
from sut.video.accuracy.precision import mean_average_precision
from sut.video.accuracy.tracks import Tracks, read_tracks, write_tracks
from sut.video.types import Boxes
from tests.extras import needs_pycocotools

if TYPE_CHECKING:
    from pathlib import Path

needs_trackers = pytest.mark.skipif(
    find_spec("trackers") is None, reason="the package trackers is not installed"
)
needs_boxes = pytest.mark.skipif(
    find_spec("motmetrics") is None, reason="the package motmetrics is not installed"
)


def frame(*identities: int, at: float = 0.0, label: int = 0) -> Boxes:
    """Boxes of 10 x 20 side by side, one for each identity."""
    left = 100.0 * np.arange(len(identities)) + at
    zero = np.zeros(len(identities))
    xyxy = np.stack([left, zero, left + 10, zero + 20], axis=1).astype(np.float32)
    score = np.full(len(identities), 0.75, np.float32)
    labels = np.full(len(identities), label, np.int64)
    return Boxes(xyxy.reshape(-1, 4), score, labels, np.array(identities, np.int64))


def tracks(*frames: Boxes) -> Tracks:
    return Tracks(dict(enumerate(frames)), len(frames))


# --- files


def test_tracks_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tracks.txt"
    written = Tracks({0: frame(3, 7, label=2), 4: frame(3, at=0.25, label=2)}, 6)

    write_tracks(path, written)
    read = read_tracks(path, 6)

    assert (read.count, sorted(read.frames), read.has_labels) == (6, [0, 4], True)
    for number in range(6):
        for name in ("xyxy", "score", "label", "identity"):
            expected = getattr(written.at(number), name)
            np.testing.assert_array_equal(getattr(read.at(number), name), expected)


def test_a_box_without_identity_is_not_written(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.txt", tracks(frame(-1, 5)))

    assert read_tracks(tmp_path / "tracks.txt").at(0).identity.tolist() == [5]


def test_confidence_zero_is_no_object_and_a_negative_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,9,9,0,4.5,5.5,0\n1,2,1,2,3,4,-1,4.5,5.5,0\n\n3,2,1,2,3,4,0.5\n")

    read = read_tracks(path)

    assert (read.count, read.has_labels) == (3, False)
    assert read.at(0).identity.tolist() == [2]
    assert read.at(0).xyxy.tolist() == [[1, 2, 4, 6]]
    assert [read.at(number).score.tolist() for number in (0, 1, 2)] == [[1], [], [0.5]]
    assert read.at(0).label.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("1,1,0,0,9,9\n", ":1: 6 columns; expected frame, identity"),
        ("1,1,0,0,9,9,1\n1,x,0,0,9,9,1\n", ":2: could not convert"),
        ("0,1,0,0,9,9,1\n", ":1: frame 0, identity 1; expected whole numbers"),
        ("1.5,1,0,0,9,9,1\n", "frame 1.5"),
        ("1,-1,0,0,9,9,1\n", "identity -1"),
        ("1,1,0,0,-9,9,1\n", "a box of -9 x 9"),
        ("1,1,nan,0,9,9,1\n", "not finite"),
        ("1,1,0,0,1e300,9,1\n", "too large"),
        ("1,1,0,0,9,9,1\n2,4,0,0,9,9,1\n\n2,4,0,0,9,9,1\n", ":4: frame 2 has the identity 4 twice"),
        ("8,1,0,0,9,9,1\n", "frame 8; expected 1 to 7, as in the clip"),
    ],
)
def test_a_file_that_holds_no_tracks_is_refused(tmp_path: Path, text: str, fragment: str) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(text)

    with pytest.raises(DataError) as caught:
        read_tracks(path, 7)

    assert str(caught.value).startswith(str(path))
    assert fragment in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\x80\xff")

    for name in ("clip.mp4", "nothing.txt"):
        with pytest.raises(DataError, match="a text file of MOTChallenge"):
            read_tracks(tmp_path / name)


# --- precision of boxes


@needs_pycocotools
def test_the_precision_of_boxes_falls_with_place_class_and_misses() -> None:
    truth = tracks(frame(0, 1), frame(0, 1))

    def precision(*frames: Boxes) -> float | None:
        return mean_average_precision([(truth, tracks(*frames))])

    assert precision(frame(-1, -1), frame(-1, -1)) == pytest.approx(1)
    # An overlap of 8/12 counts up to the threshold 0.65: four of ten.
    assert precision(frame(0, 1, at=2), frame(0, 1, at=2)) == pytest.approx(0.4)
    assert precision(frame(0, 1), frame()) == pytest.approx(51 / 101)
    assert precision(frame(0, 1, label=1), frame(0, 1, label=1)) == pytest.approx(0)


@needs_pycocotools
def test_a_truth_without_classes_takes_boxes_of_any() -> None:
    truth = Tracks({0: frame(0, 1)}, 1, has_labels=False)

    assert mean_average_precision([(truth, tracks(frame(0, 1, label=5)))]) == pytest.approx(1)


def test_without_a_true_object_there_is_no_precision() -> None:
    assert mean_average_precision([(tracks(frame()), tracks(frame(1)))]) is None


# --- identities


def judged(*pairs: tuple[Tracks, Tracks]) -> TrackAccuracy:
    found = judge(pairs)
    assert found is not None
    return found


@pytest.mark.skipif(find_spec("trackers") is not None, reason="the package trackers is installed")
def test_identities_without_the_package_name_the_extra() -> None:
    with pytest.raises(ConfigError, match="IDF1 and MOTA, need the package trackers"):
        judge([(tracks(frame(1)), tracks(frame(1)))])


@needs_trackers
def test_equal_tracks_are_right_whatever_their_numbers() -> None:
    truth = tracks(frame(0, 1), frame(0, 1), frame(1))
    found = tracks(frame(8, 3), frame(8, 3), frame(3), frame(4))  # played on, and not judged

    assert judged((truth, found)) == TrackAccuracy(1, 1, 1, 1, 1, 0, 0, 0, 5, 3)


@needs_trackers
def test_a_switch_a_miss_a_false_box_and_another_class_cost_what_the_formulas_say() -> None:
    truth = tracks(frame(0, 1), frame(0, 1), frame(0, 1))

    switched = judged((truth, tracks(frame(0, 1), frame(2, 1), frame(2, 1))))
    missed = judged((truth, tracks(frame(0, 1), frame(0), frame(0, 1))))
    false = judged((truth, tracks(frame(0, 1, 5), frame(0, 1, -1), frame(0, 1))))
    other = judged((truth, tracks(frame(0, 1, label=1))))
    nothing = judged((truth, tracks()))

    assert (switched.switches, missed.misses, false.false_boxes) == (1, 1, 1)
    assert [one.mota for one in (switched, missed, false)] == pytest.approx([5 / 6] * 3)
    assert (switched.idf1, missed.idf1) == pytest.approx((5 / 6, 10 / 11))
    assert (other.misses, other.false_boxes, other.hota) == (6, 2, 0)
    assert (nothing.misses, nothing.mota, nothing.idf1, nothing.hota) == (6, 0, 0, 0)


@needs_trackers
def test_without_a_true_object_there_is_nothing_to_judge() -> None:
    assert judge([(tracks(frame(), frame()), tracks(frame(1)))]) is None


@needs_trackers
@needs_boxes
def test_the_published_figures_of_two_sequences_come_out() -> None:
    # MOTA, IDF1 and counts: README and tests of py-motmetrics, equal to MOTChallenge's own kit.
    # HOTA: TrackEval 1.3.0 on these boxes; of TUD-Campus also in py-motmetrics' pull request 212.
    folder = package_path("motmetrics==1.4.0", "motmetrics/data")
    pairs = [
        (read_tracks(folder / name / "gt.txt"), read_tracks(folder / name / "test.txt"))
        for name in ("TUD-Campus", "TUD-Stadtmitte")
    ]

    campus, stadtmitte, both = judged(pairs[0]), judged(pairs[1]), judged(*pairs)

    assert campus.hota == pytest.approx(0.3913974378451139, abs=1e-9)
    assert campus.det_a == pytest.approx(0.418047030142763, abs=1e-9)
    assert campus.ass_a == pytest.approx(0.36912068120832836, abs=1e-9)
    assert stadtmitte.hota == pytest.approx(0.3978490169927877, abs=1e-9)
    assert (campus.idf1, campus.mota) == pytest.approx((0.557659, 0.526462), abs=1e-6)
    assert (stadtmitte.idf1, stadtmitte.mota) == pytest.approx((0.644619, 0.564014), abs=1e-6)
    assert (both.idf1, both.mota) == pytest.approx((0.624296, 0.555116), abs=1e-6)
    for found, counts in (
        (campus, (7, 150, 13)),
        (stadtmitte, (7, 452, 45)),
        (both, (14, 602, 58)),
    ):
        assert (found.switches, found.misses, found.false_boxes) == counts
    assert (both.true_boxes, both.frames) == (359 + 1156, 71 + 179)
