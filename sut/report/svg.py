"""Small charts as SVG text: lines with error bars, points, coloured squares, marks.

Knows only numbers and text. A chart needs no script, font or other file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 16, 48
# Distinguishable for people who are red-green colour-blind (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
_TICKS = 6
_LEGEND_LINE = 16
_GROUPED = 1_000  # from here on digits are grouped
# Room for the legend above the highest value, as a share of the height.
_LEGEND_SHARE = 0.25
Scale = Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind.

    Attributes:
        name: in the legend; empty: not in the legend.
        points: (x, y).
        kind: how they are drawn.
        errors: (low, high) in y of each point, or empty.
        labels: a tooltip for each point, or empty.
        colour: None: the next one.
        dashed: whether a line is dashed.
    """

    name: str
    points: Sequence[tuple[float, float]]
    kind: Literal["line", "points", "both"] = "line"
    errors: Sequence[tuple[float, float]] = ()
    labels: Sequence[str] = ()
    colour: str | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A straight line across the chart, with a label: a bound, or the chosen value."""

    axis: Literal["x", "y"]
    value: float
    text: str
    colour: str = "#b00020"


@dataclass(frozen=True, slots=True)
class Axes:
    """The labels and ranges of the axes.

    Attributes:
        x: label.
        y: label.
        x_scale: "log" for sizes that double.
        y_scale: as `x_scale`.
        y_top: the highest value; points above are drawn at the edge. None: all points fit.
        y_from_zero: the lowest value shown is 0.
    """

    x: str
    y: str
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    y_top: float | None = None
    y_from_zero: bool = False


def chart(title: str, axes: Axes, series: Sequence[Series], marks: Sequence[Mark] = ()) -> str:
    """Return a chart; without points it says that nothing was measured."""
    drawn = [s for s in series if s.points]
    if not drawn:
        return _frame(title, [_text(WIDTH / 2, HEIGHT / 2, "nothing measured", "middle")])
    xs = [x for s in drawn for x, _ in s.points] + [m.value for m in marks if m.axis == "x"]
    ys = [y for s in drawn for _, y in s.points] + [m.value for m in marks if m.axis == "y"]
    ys += [y for s in drawn for pair in s.errors for y in pair]
    if axes.y_top is not None:
        ys = [min(y, axes.y_top) for y in ys]
    if axes.y_from_zero:
        ys.append(0.0)
    if len(drawn) > 1 and axes.y_scale == "linear":
        ys.append(max(ys) + _LEGEND_SHARE * (max(ys) - min(ys)))
    to_x = _scale(xs, axes.x_scale, _LEFT, WIDTH - _RIGHT)
    to_y = _scale(ys, axes.y_scale, HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(axes, xs, ys, to_x, to_y)]
    for index, one in enumerate(drawn):
        colour = one.colour or COLOURS[index % len(COLOURS)]
        parts += _series(one, colour, to_x, to_y)
    parts += [_mark(mark, to_x, to_y) for mark in marks]
    parts += _legend([(s.name, s.colour or COLOURS[k % len(COLOURS)]) for k, s in enumerate(drawn)])
    return _frame(title, parts)


def heat(
    title: str,
    axes: Axes,
    cells: Sequence[tuple[float, float, float, str]],
    chosen: tuple[float, float],
) -> str:
    """Return squares at (x, y), darker for higher values; `chosen` has a ring.

    Args:
        title: for screen readers.
        axes: of x and y.
        cells: (x, y, value, word).
        chosen: (x, y).
    """
    if not cells:
        return chart(title, axes, ())
    to_x = _scale([c[0] for c in cells], axes.x_scale, _LEFT + 12, WIDTH - _RIGHT - 12)
    to_y = _scale([c[1] for c in cells], axes.y_scale, HEIGHT - _BOTTOM - 12, _TOP + 12)
    parts = [*_axes(axes, [c[0] for c in cells], [c[1] for c in cells], to_x, to_y)]
    best = max(value for _, _, value, _ in cells)
    # Only the range 10 % below the best matters; a colour scale from 0 would not show it.
    for x, y, value, word in sorted(cells, key=lambda c: c[2]):
        share = max(0.0, 1 - (1 - value / best) / 0.1) if best else 0.0
        parts.append(
            f'<rect x="{to_x(x) - 8:.1f}" y="{to_y(y) - 6:.1f}" width="16" height="12" rx="2" '
            f'fill="{_shade(share)}" stroke="#888" stroke-width="0.5">'
            f"<title>{escape(word)}</title></rect>"
        )
    x, y = chosen
    parts.append(
        f'<rect x="{to_x(x) - 11:.1f}" y="{to_y(y) - 9:.1f}" width="22" height="18" rx="4" '
        'fill="none" stroke="#b00020" stroke-width="2"/>'
    )
    return _frame(title, parts)


def _shade(share: float) -> str:
    """From near white to dark blue."""
    low, high = (242, 246, 250), (0, 60, 120)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return f"rgb({red},{green},{blue})"


def _frame(title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _scale(
    values: Sequence[float], scale: Scale, start: float, end: float
) -> Callable[[float], float]:
    low, high = min(values), max(values)
    if scale == "log":
        positive = [value for value in values if value > 0] or [1.0]
        low, high = math.log(min(positive)), math.log(max(positive))
    margin = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    if low != 0:  # an axis from 0 starts exactly there
        low -= margin
    high += margin

    def place(value: float) -> float:
        at = value
        if scale == "log":
            at = math.log(value) if value > 0 else low
        share = min(max((at - low) / (high - low), 0.0), 1.0)
        return start + (end - start) * share

    return place


def _axes(
    axes: Axes,
    xs: Sequence[float],
    ys: Sequence[float],
    to_x: Callable[[float], float],
    to_y: Callable[[float], float],
) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for value in _ticks(min(xs), max(xs), axes.x_scale):
        x = to_x(value)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#e4e4e4"/>')
        parts.append(_text(x, bottom + 16, _number(value), "middle"))
    for value in _ticks(min(ys), max(ys), axes.y_scale):
        y = to_y(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#e4e4e4"/>')
        parts.append(_text(_LEFT - 6, y + 4, _number(value), "end"))
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>')
    parts.append(_text((_LEFT + right) / 2, HEIGHT - 8, axes.x, "middle"))
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<g transform="translate(14 {middle:.0f}) rotate(-90)">{_text(0, 0, axes.y, "middle")}</g>'
    )
    return parts


def _ticks(low: float, high: float, scale: Scale) -> list[float]:
    if scale == "log" and low > 0:
        first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / (_TICKS + 4)))
        return [2.0**k for k in range(first, last + 1, step)]
    if high <= low:
        return [low]
    rough = (high - low) / _TICKS
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _GROUPED else f"{value:.4g}"


def _series(
    series: Series, colour: str, to_x: Callable[[float], float], to_y: Callable[[float], float]
) -> list[str]:
    places = [(to_x(x), to_y(y)) for x, y in series.points]
    parts = []
    if series.kind in {"line", "both"}:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = ' stroke-dasharray="6 4"' if series.dashed else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
    for (x, _), (low, high) in zip(places, series.errors, strict=False):
        parts.append(f'<path d="M{x:.1f} {to_y(low):.1f}V{to_y(high):.1f}" stroke="{colour}"/>')
    if series.kind in {"points", "both"}:
        labels = series.labels or [""] * len(places)
        for (x, y), label in zip(places, labels, strict=True):
            shown = f"<title>{escape(label)}</title>" if label else ""
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{shown}</circle>'
            )
    return parts


def _mark(mark: Mark, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> str:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    if mark.axis == "x":
        x = to_x(mark.value)
        line = f"M{x:.1f} {_TOP}V{bottom}"
        anchor = "end" if x > (_LEFT + right) / 2 else "start"
        word = _text(x + (-5 if anchor == "end" else 5), bottom - 6, mark.text, anchor, mark.colour)
    else:
        y = to_y(mark.value)
        line = f"M{_LEFT} {y:.1f}H{right}"
        word = _text(right - 4, y - 5, mark.text, "end", mark.colour)
    return f'<path d="{line}" stroke="{mark.colour}" stroke-dasharray="3 3"/>{word}'


def _legend(names: Sequence[tuple[str, str]]) -> list[str]:
    parts = []
    shown = [(name, colour) for name, colour in names if name]
    for k, (name, colour) in enumerate(shown):
        y = _TOP + 14 + k * _LEGEND_LINE
        parts.append(f'<rect x="{_LEFT + 10}" y="{y - 8}" width="12" height="8" fill="{colour}"/>')
        parts.append(_text(_LEFT + 28, y, name, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
