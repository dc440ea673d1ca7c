"""The roofline of a comparison of devices: what rows achieved below what their devices can do.

Only draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.table import place
from sut.report.picture import picture
from sut.report.svg import COLOURS, Axes, Series, chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.table import Row, Value

    Picture = tuple[str, str]
    Key = tuple[Value, Value]  # device and precision

_TERA = 1e12
_NEEDED = {"intensity", "flops_per_s"}
_PEAK = {"peak_flops_per_s", "peak_bytes_per_s"}
_ROOM = 2.0  # a roof goes so far beyond the outermost row
TITLE = "Roofline"
AXES = Axes("operations for each byte moved", "TFLOP/s", "log", "log")


def roofline(rows: Sequence[Row]) -> list[Picture]:
    """Return (picture, caption); nothing for rows whose operations nobody counted."""
    lines = _series(rows)
    if not lines:
        return []
    caption = (
        "A point is a batch size, written beside it. A dashed line is the least time that the "
        "device allows: its memory on the slope, its arithmetic where it is level."
    )
    return [(chart(TITLE, AXES, lines), caption)]


def roofline_svg(rows: Sequence[Row]) -> str:
    """Return the picture as a file of its own; empty for rows whose operations nobody counted."""
    lines = _series(rows)
    return picture(chart(TITLE, AXES, lines)) if lines else ""


def _series(rows: Sequence[Row]) -> list[Series]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        if row.figures.keys() >= _NEEDED:
            key = (row.point.get("device", ""), row.point.get("precision", ""))
            groups.setdefault(key, []).append(row)
    lines, colours = [], {key: number % COLOURS + 1 for number, key in enumerate(groups)}
    for (device, precision), mine in groups.items():
        mine.sort(key=lambda row: row.figures["intensity"])
        lines.append(
            Series(
                f"{device}, {precision}",
                [(row.figures["intensity"], row.figures["flops_per_s"] / _TERA) for row in mine],
                "points",
                labels=[place(row.point) for row in mine],
                words=[str(row.point.get("batch", "")) for row in mine],
                colour=colours[device, precision],
            )
        )
    return [*lines, *_roofs(rows, colours)]


def _roofs(rows: Sequence[Row], colours: Mapping[Key, int]) -> list[Series]:
    """Return a dashed roof for each different peak, in the colour of the first rows below it."""
    known = [row for row in rows if row.figures.keys() >= _NEEDED | _PEAK]
    if not known:
        return []
    found: dict[tuple[float, float], Key] = {}
    for row in known:
        peak = (row.figures["peak_flops_per_s"], row.figures["peak_bytes_per_s"])
        found.setdefault(peak, (row.point.get("device", ""), row.point.get("precision", "")))
    places = [row.figures["intensity"] for row in known]
    ridges = [flops / memory for flops, memory in found]
    low, high = min(*places, *ridges) / _ROOM, max(*places, *ridges) * _ROOM
    return [
        Series(
            f"roof of {device}, {precision}",
            [(x, min(flops, x * memory) / _TERA) for x in (low, flops / memory, high)],
            "line",
            dashed=True,
            colour=colours[device, precision],
        )
        for (flops, memory), (device, precision) in found.items()
    ]
