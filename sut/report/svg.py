"""Charts as SVG: lines, points, marks; each a figure with a title, a legend and a text for readers.

Knows only numbers and text. A chart needs no script, font or other file; the page's style gives it
its colours (`sut.report.style`).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import dist
from typing import TYPE_CHECKING, Literal

from sut.report.scales import Axis, Scale, axis, number, percent, thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Point = tuple[float, float]

WIDTH, HEIGHT = 480, 290
LEFT, TOP, BOTTOM = 50, 26, 44
_RIGHT, _RIGHT_OF_TWO = 18, 52
COLOURS = 7  # classes s1 to s7 of the style
_SHAPES = ("circle", "square", "triangle", "diamond")
_LETTER, _LINE = 7.0, 13.0  # room that a letter of a label takes, and a line of text
_X_LABELS = 9  # as many labels fit below a chart


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind.

    Attributes:
        name: in the legend; empty: not in the legend.
        points: (x, y).
        kind: how they are drawn.
        errors: (low, high) in y of each point, or empty.
        labels: a tooltip for each point, or empty.
        words: what is written beside each point where there is room, or empty.
        colour: 1 to COLOURS; None: the next one.
        dashed: whether a line is dashed.
        second: y lies on the second axis.
    """

    name: str
    points: Sequence[Point]
    kind: Literal["line", "points", "both"] = "line"
    errors: Sequence[Point] = ()
    labels: Sequence[str] = ()
    words: Sequence[str] = ()
    colour: int | None = None
    dashed: bool = False
    second: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A straight line across the chart, with a label: a bound, or the chosen value."""

    axis: Literal["x", "y"]
    value: float
    text: str
    is_limit: bool = True


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring around a point, which the text below the chart explains."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Axes:
    """The labels and ranges of the axes.

    Attributes:
        x: label with its unit.
        y: label with its unit.
        x_scale: "log" for sizes that double.
        y_scale: as `x_scale`; "nines" for shares, shown in percent.
        y_top: the highest value; points above are drawn at the edge. None: all points fit.
        y_from_zero: the lowest value shown is 0.
        x_from_zero: as `y_from_zero`.
        y2: label of the second axis, which begins at 0; empty: there is none.
    """

    x: str
    y: str
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    y_top: float | None = None
    y_from_zero: bool = False
    x_from_zero: bool = False
    y2: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A line of a legend: text, colour and shape."""

    text: str
    colour: int
    shape: str = "area"
    has_line: bool = True
    dashed: bool = False


def chart(
    title: str,
    axes: Axes,
    series: Sequence[Series],
    marks: Sequence[Mark] = (),
    rings: Sequence[Ring] = (),
) -> str:
    """Return a chart; without points it says that nothing was measured."""
    drawn = [s for s in series if s.points]
    if not drawn:
        return nothing(title)
    to_x, to_y, to_y2 = _axes_of(axes, drawn, marks)
    parts = frame(axes, to_y, to_y2)
    parts += x_ticks(to_x)
    keys, said = [], []
    for index, one in enumerate(drawn):
        colour = one.colour or index % COLOURS + 1
        shape = _SHAPES[index % len(_SHAPES)]
        height = to_y2 if one.second and to_y2 else to_y
        places = [(to_x(x), height(y)) for x, y in one.points]
        parts += _series(one, (colour, shape), places, height)
        said += [(*place, word) for place, word in zip(places, one.words, strict=False)]
        key = "line" if one.kind == "line" else shape
        keys.append(Key(one.name, colour, key, one.kind != "points", one.dashed))
    parts += _words(said)
    parts += [_mark(mark, to_x, to_y) for mark in marks]
    parts += [
        f'<circle class="ring" cx="{to_x(r.x):.1f}" cy="{to_y(r.y):.1f}" r="9">'
        f"<title>{escape(r.text)}</title></circle>"
        for r in rings
    ]
    told = [
        *(_told(one, axes.y_scale) for one in drawn),
        *(f"{m.text}." for m in marks),
        *(f"{r.text}." for r in rings),
    ]
    return figure(title, parts, keys, f"{axes.y} by {axes.x}. {' '.join(told)}")


def nothing(title: str) -> str:
    """Return a chart that says that nothing was measured."""
    words = text(WIDTH / 2, HEIGHT / 2, "nothing measured", "middle")
    return figure(title, [words], [], "Nothing measured.")


def figure(title: str, parts: Iterable[str], keys: Sequence[Key], told: str) -> str:
    """Return a figure: title, legend, picture.

    Args:
        title: above the picture.
        parts: of the picture.
        keys: of the legend; a single one needs none.
        told: what the picture shows, for who does not see it.
    """
    named = [key for key in keys if key.text]
    legend = "".join(
        f'<li class="s{key.colour}">{_swatch(key)}{escape(key.text)}</li>' for key in named
    )
    lines = f'<ul class="legend">{legend}</ul>' if len(named) > 1 else ""
    return (
        f'<figure><p class="title">{escape(title)}</p>{lines}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{title}. {told}")}">{"".join(parts)}</svg></figure>'
    )


def frame(axes: Axes, to_y: Axis, to_y2: Axis | None = None) -> list[str]:
    """Return both y axes with ticks, grid and labels, and the label of x."""
    right, bottom = right_end(axes), HEIGHT - BOTTOM
    word = percent if to_y.kind == "nines" else number
    parts = []
    for value in to_y.ticks:
        y = to_y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(text(LEFT - 6, y + 4, word(value), "end"))
    if to_y2 is not None:
        parts += [text(right + 6, to_y2(v) + 4, number(v), "start") for v in to_y2.ticks]
        parts.append(text(WIDTH - 2, 12, axes.y2, "end", "label"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    parts.append(text(2, 12, axes.y, "start", "label"))
    parts.append(text((LEFT + right) / 2, HEIGHT - 6, axes.x, "middle", "label"))
    return parts


def right_end(axes: Axes) -> int:
    """Return where the x axis ends."""
    return WIDTH - (_RIGHT_OF_TWO if axes.y2 else _RIGHT)


def x_ticks(to_x: Axis) -> list[str]:
    """Return the ticks of x."""
    bottom = HEIGHT - BOTTOM
    words = [number(value) for value in to_x.ticks]
    parts = []
    for k in thinned(words, _X_LABELS):
        x = to_x(to_x.ticks[k])
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(text(x, bottom + 17, words[k], "middle"))
    return parts


def text(x: float, y: float, words: str, anchor: str, name: str = "") -> str:
    """Return text; `name` is a class of the style."""
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def _axes_of(
    axes: Axes, drawn: Sequence[Series], marks: Sequence[Mark]
) -> tuple[Axis, Axis, Axis | None]:
    xs = [x for s in drawn for x, _ in s.points] + [m.value for m in marks if m.axis == "x"]
    first, second = [s for s in drawn if not s.second], [s for s in drawn if s.second]
    ys = [y for s in first for _, y in s.points] + [m.value for m in marks if m.axis == "y"]
    ys += [y for s in first for pair in s.errors for y in pair]
    if axes.y_top is not None:
        ys = [min(y, axes.y_top) for y in ys]
    up = (HEIGHT - BOTTOM, TOP)
    return (
        axis(xs, axes.x_scale, (LEFT, right_end(axes)), from_zero=axes.x_from_zero),
        axis(ys or [0.0, 1.0], axes.y_scale, up, from_zero=axes.y_from_zero),
        axis([y for s in second for _, y in s.points], "linear", up, from_zero=True)
        if second
        else None,
    )


def _series(
    series: Series, style: tuple[int, str], places: Sequence[Point], to_y: Axis
) -> list[str]:
    colour, shape = style
    parts = [f'<g class="s{colour}">']
    if series.kind in {"line", "both"}:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = " dashed" if series.dashed else ""
        parts.append(f'<polyline class="line{dash}" points="{path}"/>')
    for (x, _), (low, high) in zip(places, series.errors, strict=False):
        parts.append(f'<path class="line thin" d="M{x:.1f} {to_y(low):.1f}V{to_y(high):.1f}"/>')
    if series.kind in {"points", "both"}:
        labels = series.labels or [""] * len(places)
        parts += [point(x, y, shape, w) for (x, y), w in zip(places, labels, strict=True)]
    return [*parts, "</g>"]


def point(x: float, y: float, shape: str, label: str = "") -> str:
    """Return a point with a tooltip."""
    shown = f"<title>{escape(label)}</title>" if label else ""
    match shape:
        case "square":
            return (
                f'<rect class="dot" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7">'
                f"{shown}</rect>"
            )
        case "triangle":
            path = f"M{x:.1f} {y - 5:.1f}l4.5 8h-9z"
        case "diamond":
            path = f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z"
        case _:
            return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.8">{shown}</circle>'
    return f'<path class="dot" d="{path}">{shown}</path>'


def _words(said: Sequence[tuple[float, float, str]]) -> list[str]:
    """Write each word beside its point: over no other word or point, and nearer to no other one."""
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y, _ in said]
    parts, floor = [], HEIGHT - BOTTOM
    for x, y, word in said:
        wide = len(word) * _LETTER
        for across, down, anchor in ((-7, -5, "end"), (7, 13, "start"), (7, -5, "start"),
                                     (-7, 13, "end")):  # fmt: skip
            left = x + across - (wide if anchor == "end" else 0)
            box = (left, y + down - _LINE + 3, left + wide, y + down + 1)
            inside = box[0] > LEFT and box[2] < WIDTH and box[1] > TOP - 8 and box[3] < floor
            covers = any(_overlap(box, other) for other in taken)
            if inside and not covers and _is_nearest(box, (x, y), said):
                taken.append(box)
                parts.append(text(x + across, y + down, word, anchor, "word"))
                break
    return parts


def _is_nearest(
    box: tuple[float, ...], own: Point, said: Sequence[tuple[float, float, str]]
) -> bool:
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return all(dist(middle, own) <= dist(middle, (x, y)) for x, y, _ in said)


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _mark(mark: Mark, to_x: Axis, to_y: Axis) -> str:
    name = "limit" if mark.is_limit else "note"
    if mark.axis == "x":
        x = to_x(mark.value)
        line = f"M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"
        is_right = x > (LEFT + WIDTH) / 2
        # A limit's word above a note's: the two often lie at the same value.
        y = TOP + (10.0 if mark.is_limit else 24.0)
        anchor = "end" if is_right else "start"
        word = text(x + (-5 if is_right else 5), y, mark.text, anchor, name)
    else:
        y = to_y(mark.value)
        line = f"M{LEFT} {y:.1f}H{to_x.end}"
        word = text(to_x.end - 4, y - 5, mark.text, "end", name)
    return f'<path class="{name}" d="{line}"/>{word}'


def _swatch(key: Key) -> str:
    """Return the sign of a line in the legend, as it looks in the picture."""
    if key.shape == "area":
        inner = '<rect class="dot" x="3" y="1" width="16" height="10"/>'
    else:
        dash = " dashed" if key.dashed else ""
        inner = f'<path class="line{dash}" d="M0 6H22"/>' if key.has_line else ""
        inner += "" if key.shape == "line" else point(11, 6, key.shape)
    return f'<svg class="swatch" viewBox="0 0 22 12" aria-hidden="true">{inner}</svg>'


def _told(series: Series, scale: Scale) -> str:
    """Return a sentence on a series: how many points, and from where to where."""
    (x0, _), (x1, _) = series.points[0], series.points[-1]
    factor = 100 if scale == "nines" else 1
    heights = [f"{factor * y:.6g}" if factor > 1 else f"{y:.4g}" for _, y in series.points]
    name = f"{series.name}: " if series.name else ""
    if len(heights) == 1:
        return f"{name}{heights[0]} at {x0:.4g}."
    ys = [y for _, y in series.points]
    least, most = heights[ys.index(min(ys))], heights[ys.index(max(ys))]
    return (
        f"{name}{len(heights)} points, {heights[0]} at {x0:.4g} to {heights[-1]} at {x1:.4g}, "
        f"lowest {least}, highest {most}."
    )
