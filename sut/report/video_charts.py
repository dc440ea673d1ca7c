"""Charts of plays of video: FPS by tracker, interval and streams; speed-up; speed and accuracy.

Only draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.table import place
from sut.report import page
from sut.report.bars import Layer, stacked
from sut.report.svg import Axes, Mark, Ring, Series, chart
from sut.video.speedup import pareto, speed_ups
from sut.video.table import DEVICE, INTERVAL, RATE, SOURCE, STREAMS, TRACKER, WORST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sut.record.table import Row, Table
    from sut.report.section import Block

    Picture = tuple[str, str]

LIVE_FPS = 30.0
ACCURACIES = ("hota", "idf1", "mota", "map")
_LEAST = 2  # a line of one point shows nothing
_WORDS = {"hota": "HOTA", "idf1": "IDF1", "mota": "MOTA", "map": "mAP"}
_FPS = "FPS of the slowest stream"


def blocks(table: Table) -> list[Block]:
    """Return what a page says of a table of plays; nothing of another table."""
    if table.source != SOURCE:
        return []
    return [
        ("Video", page.figures(pictures(table.rows))),
        ("What an interval buys", _speed_up_table(table.rows)),
    ]


def pictures(rows: Sequence[Row]) -> list[Picture]:
    """Return (picture, caption) of each chart that the rows have figures for."""
    known = [row for row in rows if row.problem is None and WORST in row.figures]
    found = [
        _by_interval(known),
        _by_streams(known),
        _speed_up(known),
        *(_speed_and_accuracy(known, name) for name in ACCURACIES),
        _by_device(known),
    ]
    return [picture for picture in found if picture is not None]


def _by_interval(rows: Sequence[Row]) -> Picture | None:
    """FPS a stream by interval, a line for each tracker, number of streams and device."""
    return _lines(
        f"{_FPS} by interval",
        Axes("frames without inference between two with it", "frames/s", y_from_zero=True),
        _series(rows, INTERVAL, lambda row: row.figures[WORST]),
        "",
    )


def _by_streams(rows: Sequence[Row]) -> Picture | None:
    return _lines(
        f"{_FPS} by number of streams",
        Axes("streams", "frames/s", "log", "log"),
        _series(rows, STREAMS, lambda row: row.figures[WORST]),
        f"Live video has {LIVE_FPS:g} frames/s: so many streams run where a line lies above.",
        [Mark("y", LIVE_FPS, f"{LIVE_FPS:g} FPS")],
    )


def _speed_up(rows: Sequence[Row]) -> Picture | None:
    found = speed_ups(rows)
    ratios = {id(one.row): one.speed_up for one in found}
    lines = _series([one.row for one in found], INTERVAL, lambda row: ratios[id(row)])
    intervals = sorted({one.interval for one in found})
    most = Series("if inference were all", [(k, k + 1.0) for k in intervals], colour=7, dashed=True)
    return _lines(
        "Speed-up by interval",
        Axes("frames without inference between two with it", "times", y_from_zero=True),
        lines,
        "Frames/s of all streams against interval 0. What is not inference stays.",
        more=[most] if len(intervals) >= _LEAST else [],
    )


def _speed_and_accuracy(rows: Sequence[Row], name: str) -> Picture | None:
    known = [row for row in rows if {name, RATE} <= row.figures.keys()]
    if len(known) < _LEAST:
        return None
    lines = [
        Series(
            tracker,
            [(row.figures[RATE], row.figures[name]) for row in mine],
            "points",
            labels=[place(row.point) for row in mine],
            words=[f"k={row.point[INTERVAL]}" for row in mine],
        )
        for tracker, mine in _grouped(known, (TRACKER,))
    ]
    rings = [
        Ring(row.figures[RATE], row.figures[name], f"none is faster and better: {place(row.point)}")
        for row in pareto(known, name)
    ]
    axes = Axes("frames/s of all streams", _WORDS[name], x_from_zero=True)
    caption = "k is the interval; a ring marks a point than which none is both faster and better."
    return chart(f"{_WORDS[name]} and speed", axes, lines, rings=rings), caption


def _by_device(rows: Sequence[Row]) -> Picture | None:
    best: dict[str, float] = {}
    for row in rows:
        if DEVICE in row.point:
            name = str(row.point[DEVICE])
            best[name] = max(best.get(name, 0.0), row.figures[RATE])
    if len(best) < _LEAST:
        return None
    axes = Axes("device", "frames/s of all streams")
    layer = Layer("", list(best.values()))
    return stacked("Most frames/s by device", axes, list(best), [layer]), "Of all plays on it."


def _lines(  # noqa: PLR0913 - a chart's parts
    title: str,
    axes: Axes,
    lines: Sequence[Series],
    caption: str,
    marks: Sequence[Mark] = (),
    more: Sequence[Series] = (),
) -> Picture | None:
    kept = [line for line in lines if len(line.points) >= _LEAST]
    return (chart(title, axes, [*kept, *more], marks), caption) if kept else None


def _series(rows: Sequence[Row], axis: str, height: Callable[[Row], float]) -> list[Series]:
    """Return a line for all rows that differ in one axis alone, named by what tells it apart."""
    axes = dict.fromkeys(name for row in rows for name in row.point if name != axis)
    found = []
    for name, mine in _grouped(rows, tuple(axes)):
        ordered = sorted(mine, key=lambda row: float(row.point[axis]))
        found.append(
            Series(
                name,
                [(float(row.point[axis]), height(row)) for row in ordered],
                "both",
                labels=[f"{place(row.point)}: {height(row):.4g}" for row in ordered],
            )
        )
    return found


def _grouped(rows: Sequence[Row], axes: Iterable[str]) -> list[tuple[str, list[Row]]]:
    """Return the rows by their values on some axes, in words of those that are not all alike."""
    varying = [a for a in axes if len({row.point.get(a) for row in rows}) > 1]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        words = place({axis: row.point[axis] for axis in varying if axis in row.point})
        groups.setdefault(words.replace(f"{TRACKER} ", ""), []).append(row)
    return list(groups.items())


def _speed_up_table(rows: Sequence[Row]) -> str:
    found = speed_ups(rows)
    if not found:
        return ""
    header = ("play", "speed-up", "of k + 1", "implied share of inference")
    lines = [
        (
            place(one.row.point),
            f"{one.speed_up:.2f}",
            f"{one.efficiency:.0%}",
            f"{one.saved_share:.0%}",
        )
        for one in found
    ]
    return page.table(header, lines, (0,), "What an interval buys")
