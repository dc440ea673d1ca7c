"""Charts of plays of video, and their comparison."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.cli import main
from sut.record import table as tables
from sut.report.compare import compare
from sut.report.compare_sources import Measured
from sut.report.video_charts import pictures
from sut.video.table import row_of
from tests.sut.video.plays import judged, play, table

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.table import Table

TRACKERS = ("none", "max_perf")


@pytest.fixture(scope="module")
def study() -> Table:
    """Two trackers, four intervals, three numbers of streams; accuracy falls with the interval."""
    return table(
        *(
            play(
                100 * (k + 1) ** 0.8 / (1 + (tracker != "none") / 10),
                tracker, k, streams, judged(0.9 - k / 20),
            )
            for tracker in TRACKERS
            for k in (0, 1, 3, 10)
            for streams in (1, 4, 16)
        )
    )  # fmt: skip


def told(picture: str) -> str:
    found = re.search(r'aria-label="([^"]*)"', picture)
    assert found
    return found[1]


def test_the_charts_of_the_study_are_drawn(study: Table) -> None:
    titles = [told(picture).split(".")[0] for picture, _ in pictures(study.rows)]

    assert titles == [
        "FPS of the slowest stream by interval",
        "FPS of the slowest stream by number of streams",
        "Speed-up by interval",
        "HOTA and speed",
        "IDF1 and speed",
        "MOTA and speed",
        "mAP and speed",
    ]


def test_a_line_is_a_tracker_and_what_else_differs(study: Table) -> None:
    by_interval = told(pictures(study.rows)[0][0])

    for tracker in TRACKERS:
        assert f"{tracker}, streams 16: 4 points" in by_interval


def test_the_line_of_live_video_and_the_front_are_marked(study: Table) -> None:
    drawn = pictures(study.rows)

    assert "30 FPS." in told(drawn[1][0])
    assert "none is faster and better: tracker none, interval 10" in told(drawn[3][0])
    assert "if inference were all: 3 points, 2 at 1 to 11 at 10" in told(drawn[2][0])


def test_devices_stand_beside_each_other() -> None:
    plays = [
        (name, play(fps, interval=k)) for name, fps in (("T4", 90), ("L4", 180)) for k in (0, 1)
    ]
    rows = [row_of(result, {"device": name}) for name, result in plays]

    drawn = pictures(rows)

    assert "FPS of the slowest stream by interval" in told(drawn[0][0])
    assert "device T4: 2 points" in told(drawn[0][0])
    assert "2 bars, T4 to L4" in told(drawn[-1][0])


def test_a_table_of_one_play_has_no_chart_of_nothing() -> None:
    assert pictures(table(play(100)).rows) == []


def test_the_page_of_a_table_has_charts_and_what_an_interval_buys(
    study: Table, tmp_path: Path
) -> None:
    (tmp_path / "table.json").write_bytes(tables.encode(study))

    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")

    assert "Speed-up by interval" in page
    assert "implied share of inference" in page


# --- comparison


def compared(a: Table, b: Table, metric: str = "fps_per_stream_worst") -> object:
    return compare([Measured("A", a, (None,) * 9)], [Measured("B", b, (None,) * 9)], metric)


def test_two_devices_are_compared_cell_by_cell() -> None:
    a, b = table(play(100), play(150, interval=1)), table(play(200), play(280, interval=1))

    found = compare(
        [Measured("A", a, (None, None))], [Measured("B", b, (None, None))], "samples_per_s"
    )

    assert [cell.b[0] / cell.a[0] for cell in found.cells] == pytest.approx([2, 280 / 150])
    assert found.mean.ratio == pytest.approx((2 * 280 / 150) ** 0.5)
    assert found.better == "higher"
    assert found.warnings == []


def test_plays_of_other_clips_or_models_are_not_compared() -> None:
    other = play(100)
    other["stages"]["person"]["model_sha256"] = "b" * 64

    with pytest.raises(ConfigError, match="A and B are of another clip"):
        compared(table(play(100)), table(play(100, clip="d" * 64)))
    with pytest.raises(ConfigError, match="A and B are of another model"):
        compared(table(play(100)), table(other))


def test_other_numbers_of_objects_are_a_warning() -> None:
    found = compare(
        [Measured("A", table(play(100)), (None,))],
        [Measured("B", table(play(100, objects=6.0)), (None,))],
        "fps_per_stream_worst",
    )

    assert found.warnings == [
        "tracker max_perf, interval 0, streams 4: 5 and 6 objects a frame: the later stages had "
        "other work."
    ]
