"""Clips that are made here: what they show, how they are written, and what tells them apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError
from sut.video.clips.people import film, find_people
from sut.video.clips.synthetic import Scene
from sut.video.clips.write import write_clip
from sut.video.track.interval import is_inferred
from sut.video.track.overlap import overlaps
from sut.video.track.presets import open_tracker
from sut.video.types import Boxes, Pixels, boxes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SCENE = Scene(160, 90, frames=24, objects=5)


def seen(image: NDArray[np.uint8], scene: Scene) -> Boxes:
    """Detect the objects by their colours."""
    places, labels = [], []
    for which, colour in enumerate(scene.colours):
        rows, columns = np.nonzero((image == colour).all(axis=2))
        if len(rows):
            places.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            labels.append(which % 2)
    xyxy = np.array(places, np.float32).reshape(-1, 4)
    return boxes_of(xyxy, np.ones(len(xyxy), np.float32), np.array(labels, np.int64))


def decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    av = pytest.importorskip("av", reason="the package av is not installed")
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            yield picture.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene, written without loss."""
    pytest.importorskip("av", reason="the package av is not installed")
    path = tmp_path_factory.mktemp("clip") / "scene.mkv"
    images = (SCENE.image(number) for number in range(SCENE.frames))
    assert write_clip(path, images, 30) == SCENE.frames
    return path


# --- what a scene shows


@pytest.mark.parametrize("scene", [SCENE, Scene(), Scene(400, 300, objects=32, seed=7)])
def test_objects_are_whole_apart_and_move_slowly(scene: Scene) -> None:
    for number in range(0, scene.frames, 5):
        boxes = scene.boxes(number)
        assert boxes.xyxy.min() >= 0
        assert (boxes.xyxy.max(axis=0)[2:] <= (scene.width, scene.height)).all()
        assert np.count_nonzero(overlaps(boxes.xyxy, boxes.xyxy)) == len(boxes)
        after = scene.boxes(number + 1)
        same = boxes.identity[:, None] == after.identity[None]
        assert overlaps(boxes.xyxy, after.xyxy)[same].min() > 0.59


def test_objects_come_and_go_and_each_has_its_class() -> None:
    counts = [len(SCENE.boxes(number)) for number in (5, 6, 17, 18)]

    assert counts == [3, 5, 5, 4]
    for number in (0, 9, 23):
        boxes = SCENE.boxes(number)
        np.testing.assert_array_equal(boxes.label, boxes.identity % 2)


def test_a_scene_is_the_same_for_the_same_numbers() -> None:
    again, other = replace(SCENE), replace(SCENE, seed=2)

    np.testing.assert_array_equal(again.image(9), SCENE.image(9))
    assert (other.image(9) != SCENE.image(9)).any()


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"objects": 0}, "0 objects; expected 1 to 32"),
        ({"objects": 33}, "33 objects"),
        ({"frames": 0}, "0 frames"),
        ({"height": 30}, "a height of 8 pixels an object"),
        ({"width": 60}, "a width of 4 times"),
    ],
)
def test_a_scene_without_room_is_refused(changes: dict[str, int], fragment: str) -> None:
    with pytest.raises(ConfigError, match=fragment):
        replace(SCENE, **changes)


# --- detections, identities and crops, exactly


def test_a_clip_without_loss_shows_every_object_to_the_pixel(clip: Path) -> None:
    found = {number: seen(image, SCENE) for number, image in enumerate(decoded(clip))}

    assert len(found) == SCENE.frames
    for number, boxes in found.items():
        truth = SCENE.boxes(number)
        np.testing.assert_array_equal(boxes.xyxy, truth.xyxy)
        np.testing.assert_array_equal(boxes.label, truth.label)


def test_every_crop_of_a_clip_without_loss_has_its_object_alone(clip: Path) -> None:
    for number, image in enumerate(decoded(clip)):
        boxes = SCENE.boxes(number)
        for (left, top, right, bottom), which in zip(
            boxes.xyxy.astype(int).tolist(), boxes.identity, strict=True
        ):
            assert (image[top:bottom, left:right] == SCENE.colours[which]).all()


@pytest.mark.parametrize("interval", [0, 1, 3])
def test_max_perf_gives_each_object_of_the_clip_one_identity(clip: Path, interval: int) -> None:
    tracker = open_tracker("max_perf", 30)
    given: dict[int, set[int]] = {}

    for number, image in enumerate(decoded(clip)):
        is_seen = is_inferred(number, interval)
        found = tracker.update(seen(image, SCENE) if is_seen else None, Pixels.of(image))
        if is_seen:
            truth = SCENE.boxes(number)
            np.testing.assert_array_equal(found.xyxy, truth.xyxy)
            for true, identity in zip(truth.identity, found.identity, strict=True):
                given.setdefault(int(true), set()).add(int(identity))

    assert sorted(given) == list(range(SCENE.objects))
    assert [len(identities) for identities in given.values()] == [1] * SCENE.objects
    assert len(set.union(*given.values())) == SCENE.objects


# --- files


def test_the_same_frames_make_the_same_file(tmp_path: Path, clip: Path) -> None:
    images = (SCENE.image(number) for number in range(SCENE.frames))
    write_clip(tmp_path / "again.mkv", images, 30)

    assert (tmp_path / "again.mkv").read_bytes() == clip.read_bytes()


def test_a_clip_that_fails_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the package av is not installed")

    def broken() -> Iterator[NDArray[np.uint8]]:
        yield SCENE.image(0)
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        write_clip(tmp_path / "clip.mp4", broken(), 30)
    with pytest.raises(ConfigError, match=r"a name that ends in .mkv"):
        write_clip(tmp_path / "clip.avi", [], 30)

    assert list(tmp_path.iterdir()) == []


def test_a_clip_replaces_no_file(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the package av is not installed")
    (tmp_path / "clip.mp4").write_bytes(b"mine")

    with pytest.raises(ConfigError, match="expected the name of a new file"):
        write_clip(tmp_path / "clip.mp4", [SCENE.image(0)], 30)

    assert (tmp_path / "clip.mp4").read_bytes() == b"mine"


def test_a_film_is_filled_to_its_size(tmp_path: Path, clip: Path) -> None:
    images = list(islice(film(clip, 320, 240), 3))
    write_clip(tmp_path / "clip.mp4", images, 30)

    assert [image.shape for image in images] == [(240, 320, 3)] * 3
    assert [image.shape for image in decoded(tmp_path / "clip.mp4")] == [(240, 320, 3)] * 3
    # Of 160 columns the middle 120 are left, at 2.67 times the size.
    places = seen(next(film(clip, 427, 240)), SCENE)
    assert len(places) <= len(SCENE.boxes(0))


def test_no_film_comes_from_what_is_no_clip(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the package av is not installed")
    (tmp_path / "clip.mp4").write_text("no clip")

    with pytest.raises(DataError, match=r"clip.mp4.*Name a clip that FFmpeg can read"):
        next(film(tmp_path / "clip.mp4"))


def test_the_clip_of_make_detect_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUT_CACHE_DIR", str(tmp_path))
    kept = tmp_path / "detect" / "opencv" / "vtest.avi"
    kept.parent.mkdir(parents=True)
    kept.touch()

    assert find_people().name == "vtest.avi"


# --- fingerprints
