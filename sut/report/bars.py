"""Charts of areas: stacked bars with a line on a second axis, bars of counts, shaded squares.

Knows only numbers and text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from sut.report.scales import axis, thinned
from sut.report.svg import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    TOP,
    Axes,
    Key,
    figure,
    frame,
    nothing,
    point,
    right_end,
    text,
    x_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_UP = (HEIGHT - BOTTOM, TOP)
_SHARE = 0.78  # of its place that a bar fills
_LABEL_LETTERS = 56  # so many letters fit below a chart
_MOST_BARS = 32
_PALE = 0.06  # shade of the lowest square


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of every bar, in order of the bars; None: not known there."""

    name: str
    values: Sequence[float | None]


def stacked(
    title: str,
    axes: Axes,
    labels: Sequence[str],
    layers: Sequence[Layer],
    line: tuple[str, Sequence[float | None]] | None = None,
) -> str:
    """Return bars of layers, from below, and a line on the second axis.

    Args:
        title: above the chart.
        axes: labels; `y2` that of the line.
        labels: of the bars, below them.
        layers: the parts of the bars.
        line: its name, and its value at each bar.
    """
    sums = [sum(layer.values[k] or 0.0 for layer in layers) for k in range(len(labels))]
    known = [value for value in (line[1] if line else ()) if value is not None]
    if not labels or not (any(sums) or known):
        return nothing(title)
    to_y = axis(sums, "linear", _UP, from_zero=True)
    to_y2 = axis(known, "linear", _UP, from_zero=True) if known else None
    right = right_end(axes)
    pitch = (right - LEFT) / len(labels)
    parts = frame(axes, to_y, to_y2)
    parts += _labels(labels, pitch)
    heights = [0.0] * len(labels)
    for number, layer in enumerate(layers):
        parts.append(f'<g class="s{number % COLOURS + 1}">')
        for k, value in enumerate(layer.values):
            if value:
                low, heights[k] = heights[k], heights[k] + value
                words = f"{labels[k]}: {f'{layer.name} {value:.4g}'.strip()}"
                parts.append(_bar(LEFT + pitch * k, pitch, (to_y(heights[k]), to_y(low)), words))
        parts.append("</g>")
    keys = [Key(layer.name, k % COLOURS + 1) for k, layer in enumerate(layers)]
    told = [f"{layer.name} {_range(layer.values)}" for layer in layers]
    if line and to_y2:
        places = [
            (LEFT + pitch * (k + 0.5), to_y2(value), f"{labels[k]}: {value:,.6g}")
            for k, value in enumerate(line[1])
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        dots = "".join(point(x, y, "circle", words) for x, y, words in places)
        parts.append(f'<g class="over"><polyline class="line" points="{path}"/>{dots}</g>')
        keys.append(Key(line[0], 0, "circle"))
        told.append(f"{line[0]} {_range(line[1])}")
    span = f"{len(labels)} bars, {labels[0]} to {labels[-1]}"
    return figure(title, parts, keys, f"{axes.y} by {axes.x}, {span}: {'; '.join(told)}.")


def counts(title: str, axes: Axes, histogram: Sequence[tuple[int, int]]) -> str:
    """Return bars of counts by whole number; many numbers share bars of equal width.

    Args:
        title: above the chart.
        axes: labels.
        histogram: (number, count), ascending.
    """
    if not histogram:
        return nothing(title)
    first, last = histogram[0][0], histogram[-1][0]
    width = max(1, -(-(last - first + 1) // _MOST_BARS))
    bins = (last - first) // width + 1
    values = [0.0] * bins
    for number, count in histogram:
        values[(number - first) // width] += count
    lows = [first + width * k for k in range(bins)]
    labels = [str(low) if width == 1 else f"{low}-{low + width - 1}" for low in lows]
    return stacked(title, axes, labels, [Layer("", values)])


def heat(
    title: str,
    axes: Axes,
    cells: Sequence[tuple[float, float, float, str]],
    chosen: tuple[float, float],
) -> str:
    """Return squares at (x, y), darker for higher values; `chosen` has a ring.

    Args:
        title: above the chart.
        axes: of x and y.
        cells: (x, y, value, word).
        chosen: (x, y).
    """
    if not cells:
        return nothing(title)
    to_x = axis([c[0] for c in cells], axes.x_scale, (LEFT + 14, right_end(axes) - 14))
    to_y = axis([c[1] for c in cells], axes.y_scale, (HEIGHT - BOTTOM - 12, TOP + 12))
    parts = [*frame(axes, to_y), *x_ticks(to_x)]
    best = max(cells, key=lambda c: c[2])
    # Only the range 10 % below the best matters; a colour scale from 0 would not show it.
    for x, y, value, word in sorted(cells, key=lambda c: c[2]):
        share = max(_PALE, 1 - (1 - value / best[2]) / 0.1) if best[2] else _PALE
        parts.append(
            f'<rect class="cell" x="{to_x(x) - 8:.1f}" y="{to_y(y) - 6:.1f}" width="16" '
            f'height="12" fill-opacity="{share:.2f}"><title>{escape(word)}</title></rect>'
        )
    x, y = chosen
    parts.append(
        f'<rect class="ring" x="{to_x(x) - 11:.1f}" y="{to_y(y) - 9:.1f}" width="22" height="18" '
        'rx="4"/>'
    )
    told = f"{len(cells)} squares; the best is {best[3]}; chosen: {x:g}, {y:g}."
    return figure(title, parts, [], f"By {axes.x} and {axes.y}: {told}")


def _labels(labels: Sequence[str], pitch: float) -> list[str]:
    longest = max(len(label) for label in labels) + 2
    shown = thinned(labels, max(1, _LABEL_LETTERS // longest))
    bottom = HEIGHT - BOTTOM
    return [text(LEFT + pitch * (k + 0.5), bottom + 17, labels[k], "middle") for k in shown]


def _bar(left: float, pitch: float, ends: tuple[float, float], words: str) -> str:
    high, low = ends
    return (
        f'<rect class="bar" x="{left + pitch * (1 - _SHARE) / 2:.1f}" y="{high:.1f}" '
        f'width="{pitch * _SHARE:.1f}" height="{low - high:.1f}"><title>{escape(words)}</title>'
        "</rect>"
    )


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.4g} to {max(known):.4g}" if known else "unknown"
