"""`sut video clip` makes clips, and `sut video run` judges what it finds in them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.base.errors import SutError
from sut.cli import main
from sut.video.accuracy.of_play import read_truths
from sut.video.accuracy.tracks import Tracks, read_tracks, write_tracks
from sut.video.clips.write import write_clip
from sut.video.types import Boxes
from tests.sut.video.made import RATE, detect, walk, write_pipeline

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("av", reason="the package av is not installed")

FRAMES = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline, a clip without loss, and the one object that walks in it."""
    folder = tmp_path_factory.mktemp("made")
    write_pipeline(folder, [detect()])
    write_clip(folder / "clip.mkv", walk(FRAMES), int(RATE))
    places = [np.array([[1 + k, 4, 11 + k, 14]], np.float32) for k in range(FRAMES)]
    one = np.ones(1, np.int64)
    write_tracks(
        folder / "truth.txt",
        Tracks({k: Boxes(places[k], one.astype(np.float32), one, 6 * one) for k in range(FRAMES)}),
    )
    return folder


def run(made: Path, out: Path, *words: str) -> int:
    pipeline, clip = str(made / "pipeline.yaml"), str(made / "clip.mkv")
    given = ["--source", clip, "--backend", "onnxruntime", "--out", str(out), *words]
    return main(["video", "run", pipeline, *given])


def test_boxes_are_judged_against_a_truth_and_written_with_their_frames(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = str(made / "truth.txt")

    code = run(made, tmp_path / "out", "--truth", truth, "--streams", "2", "--tracks")
    result = json.loads((tmp_path / "out" / "video.json").read_text("utf-8"))

    assert code == 0
    assert result["truth"] == [truth]
    assert result["accuracy"] == {"map": pytest.approx(1), "tracks": None}
    assert "accuracy: mAP 1.0000; no box has an identity" in capsys.readouterr().out
    assert result["files"] == ["tracks-000.txt", "tracks-001.txt"]


@pytest.mark.skipif(find_spec("trackers") is None, reason="the package trackers is not installed")
def test_a_run_is_judged_against_one_with_interval_0(made: Path, tmp_path: Path) -> None:
    words = ["--tracker", "max_perf"]
    run(made, tmp_path / "each", *words, "--tracks")
    reference = tmp_path / "each" / "tracks-000.txt"

    run(made, tmp_path / "out", *words, "--interval", "1", "--truth", str(reference))
    result = json.loads((tmp_path / "out" / "video.json").read_text("utf-8"))

    assert read_tracks(reference).count == FRAMES
    judged = result["accuracy"]["tracks"]
    # In the second frame the object has no velocity yet: it is where it was.
    assert (judged["true_boxes"], judged["switches"], judged["misses"]) == (FRAMES, 0, 0)
    assert (judged["idf1"], judged["mota"]) == (1, 1)
    assert 0.9 < judged["hota"] < 1


@pytest.mark.parametrize(
    ("text", "files", "fragment"),
    [
        ("1,1,0,0,9,9,1\n", 2, "2 files for 1 clips; expected one for each"),
        ("no truth", 1, "truth.txt:1: could not convert"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused_before_anything_runs(
    made: Path, tmp_path: Path, text: str, files: int, fragment: str
) -> None:
    (tmp_path / "truth.txt").write_text(text, "utf-8")

    with pytest.raises(SutError, match=fragment):
        read_truths([tmp_path / "truth.txt"] * files, [str(made / "clip.mkv")], "none")


def test_a_synthetic_clip_comes_with_its_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--width", "96", "--height", "48", "--frames", "4", "--objects", "3", "--json"]

    code = main(["video", "clip", "synthetic", str(tmp_path / "clip.mkv"), *words])
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    endings = (".mkv", ".txt", ".yaml", "-find.yaml", "-find.onnx", "-tell.yaml", "-tell.onnx")
    names = [f"clip{ending}" for ending in endings]
    assert told["files"] == [str(tmp_path / name) for name in names]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert (told["codec"], told["width"], told["height"], told["rate"]) == ("ffv1", 96, 48, 30)
    truth = read_tracks(tmp_path / "clip.txt")
    counts = [len(truth.at(number)) for number in range(4)]
    assert told["objects_per_frame"] == np.mean(counts)


def test_a_clip_of_people_comes_from_a_clip(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--from", str(made / "clip.mkv"), "--width", "64", "--height", "48", "--frames", "2"]

    code = main(["video", "clip", "people", str(tmp_path / "clip.mp4"), *words])

    assert code == 0
    assert "clip.mp4: h264, 64 x 48, 30 FPS; sha256 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["synthetic", "clip.mkv", "--frames", "0"], "0 frames; expected 1 or more"),
        (["synthetic", "clip.mkv", "--seed", "-1"], "--seed is -1"),
        (["synthetic", "clip.gif"], "ends in .mkv"),
        (["people", "clip.mp4", "--from", "no.avi"], "no.avi"),
        (["people", "clip.mp4", "--from", "no.avi", "--width", "63"], "expected even sides"),
        (["people", "no/clip.mp4", "--from", "no.avi"], "no such folder"),
    ],
)
def test_a_clip_that_cannot_be_made_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    fragment: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["video", "clip", *words]) == 2

    assert fragment in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
