"""`sut video` as a user calls it: a clip, a pipeline of simulated stages, a folder, a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sut.cli import main
from sut.video.words import lines
from tests.sut.video.clip_file import COUNT, write

pytest.importorskip("av")

PIPELINE = {
    "name": "sim",
    "stages": [
        {
            "name": "person",
            "benchmark": "ssd-mobilenet",
            "backend": "simulated",
            "max_batch_size": 4,
            "backend_options": {"base_ms": 1, "per_sample_ms": 1},
            "classes": {"person": 1},
            "pretend": {"boxes": 2},
        },
        {
            "name": "face",
            "benchmark": "mobilenet",
            "backend": "simulated",
            "max_batch_size": 8,
            "backend_options": {"base_ms": 1, "per_sample_ms": 0.1},
            "crops": {"of": "person", "classes": ["person"]},
        },
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A pipeline's file and a clip."""
    folder = tmp_path_factory.mktemp("video")
    (folder / "sim.yaml").write_text(yaml.safe_dump(PIPELINE), "utf-8")
    clip = write(folder / "clip.mp4", (64, 48), codec="mpeg4")
    return str(folder / "sim.yaml"), str(clip)


@pytest.mark.parametrize(("readers", "dtype"), [(0, "float32"), (2, "uint8")])
def test_a_run_writes_all_that_repeats_it_and_says_that_it_is_simulated(
    made: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    readers: int,
    dtype: str,
) -> None:
    pipeline, clip = made
    out = tmp_path / "out"
    words = ["--source", clip, "--streams", "2", "--sink", "mosaic", "--tracker", "max_perf"]
    words += ["--readers", str(readers), *(["--pixels"] if dtype == "uint8" else [])]

    code = main(["video", "run", pipeline, *words, "--out", str(out), "--json"])
    result = json.loads(capsys.readouterr().out)

    assert code == 0
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "environment.json", "frames.npz", "mosaic.mp4", "mosaic.png", "table.json",
        "video.json",
    }  # fmt: skip
    assert result == json.loads((out / "video.json").read_text("utf-8"))
    assert result["simulated"] is True
    assert result["settings"]["readers"] == readers
    assert result["stages"]["person"]["input_dtype"] == "uint8", "as its model has it"
    assert result["stages"]["face"]["input_dtype"] == dtype
    assert "interpreter found taken" in "\n".join(lines(result))
    figures = result["figures"]
    assert figures["delivered"] == 2 * COUNT
    assert figures["crops"] == {"face": 4 * COUNT}
    assert figures["unaccounted_max_ms"] < 1
    rows = np.load(out / "frames.npz")["rows"]
    assert len(rows) == 2 * COUNT
    # A batch of one takes 2 ms on this device, and no part of a frame's time hides that.
    assert figures["parts_ms"]["person infer"]["mean"] >= 2
    assert result["clips"][0]["objects_per_frame"] == 2
    assert yaml.safe_load((out / "config.yaml").read_text("utf-8"))["pipeline"]["name"] == "sim"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--streams", "0"], "--streams is 0; expected 1 or more"),
        (["--interval", "-1"], "--interval is -1"),
        (["--loop"], "--loop never ends; expected --duration-s"),
        (["--lead-s", "2", "--duration-s", "1"], "--lead-s is 2"),
        (["--tracker", "max-perf"], "max_perf"),
        (["--source", "nowhere.mp4"], "nowhere.mp4: no such file"),
        (["--mux-batch", "0"], "--mux-batch is 0"),
        (["--readers", "-1"], "--readers is -1; expected 0 or more"),
        (["--decode", "nvdec"], "PyNvVideoCodec does not load"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    made: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    fragment: str,
) -> None:
    pipeline, clip = made
    out = tmp_path / "out"

    code = main(["video", "run", pipeline, "--source", clip, *words, "--out", str(out)])

    assert code == 2
    assert fragment in capsys.readouterr().err
    assert not out.exists()


def test_max_streams_says_what_does_not_hold_and_why(
    made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline, clip = made
    out = tmp_path / "out"
    # The person stage gives no more than 800 frames a second, in batches of four.
    words = ["--fps", "2000", "--hold-s", "0.2", "--lead-s", "0", "--out", str(out), "--json"]
    words += ["--readers", "1"]

    code = main(["video", "max-streams", pipeline, "--source", clip, *words])
    found = json.loads(capsys.readouterr().out)

    assert code == 3
    assert found == json.loads((out / "max_streams.json").read_text("utf-8"))
    assert (found["streams"], found["failing_streams"]) == (0, 1)
    assert found["simulated"] is True
    (tried,) = found["tried"]
    assert "of 2000 frames/s" in tried["why_not"][0]
    assert found["bottleneck"]["label"]
    assert found["ceilings"]["frames_per_s"]["person"] < 900
    assert found["ceilings"]["frames_per_s"]["decode"] > 0


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--fps", "0"], "--fps is 0"),
        (["--most", "0"], "--most is 0"),
        (["--lead-s", "-1"], "--lead"),
    ],
)
def test_a_goal_out_of_range_is_refused(
    made: tuple[str, str], capsys: pytest.CaptureFixture[str], words: list[str], fragment: str
) -> None:
    pipeline, clip = made

    code = main(["video", "max-streams", pipeline, "--source", clip, *words])

    assert code == 2
    assert fragment in capsys.readouterr().err


def test_a_sweep_has_a_row_for_each_play_and_goes_on_where_it_stopped(
    made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline, clip = made
    out = tmp_path / "out"
    words = ["video", "sweep", pipeline, "--source", clip, "--out", str(out), "--intervals", "0,1"]
    words += ["--readers", "1"]

    first = main([*words, "--json"])
    kept = out / "points" / "max_perf-interval-1-streams-1" / "video.json"
    before = kept.read_bytes()
    capsys.readouterr()
    again = main([*words, "--trackers", "max_perf,none", "--json"])
    table = json.loads(capsys.readouterr().out)

    assert (first, again) == (0, 0)
    assert kept.read_bytes() == before
    places = [(row["point"]["tracker"], row["point"]["interval"]) for row in table["rows"]]
    assert places == [("max_perf", 0), ("max_perf", 1), ("none", 0), ("none", 1)]
    assert [row["figures"]["inferred"] for row in table["rows"]] == [COUNT, COUNT / 2] * 2
    assert all(row["simulated"] for row in table["rows"])


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--intervals", "0,x"], "--intervals"),
        (["--streams", "0"], "--streams 0"),
        (["--trackers", "none,fast"], "fast"),
        (["--per-device", "0", "--devices", "1"], "expected one of them"),
    ],
)
def test_a_wrong_axis_is_refused_before_a_folder_is_made(
    made: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    fragment: str,
) -> None:
    pipeline, clip = made
    out = tmp_path / "out"

    code = main(["video", "sweep", pipeline, "--source", clip, *words, "--out", str(out)])

    assert code == 2
    assert fragment in capsys.readouterr().err
    assert not out.exists()
