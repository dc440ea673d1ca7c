"""Compares two sides: what differs around them, the ratio of each cell, and a gate for CI.

Refuses other models and other data. Knows neither files nor how anything is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sut.base.errors import ConfigError, nearest
from sut.record.table import place
from sut.report.compare_environment import Difference, commands, differences
from sut.report.compare_parts import Part, parts
from sut.report.compare_statistics import Estimate, Interval, Ratios, Series, ratios

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sut.record.table import Row, Table, Value
    from sut.report.compare_sources import Measured

Better = Literal["higher", "lower"]
_HIGHER = (
    "samples_per_s", "requests_per_s", "tokens_per_s", "streams", "accuracy",
    "fps_per_stream_mean", "fps_per_stream_worst", "fps_per_stream_p5",
    "hota", "idf1", "mota", "map",
)  # fmt: skip
_LOWER = (
    "energy_", "power_w", "memory_bytes", "late_share", "unanswered", "dropped", "cpu_cores",
)  # fmt: skip
_OBJECTS, _ALIKE = "objects_per_frame", 0.05  # share by which they may differ
# Names in a configuration that say what was measured, where no hash is known.
_NAMES = {"Benchmark": "benchmark", "Model": "model", "Dataset": "data"}
# What trees of v0.5 call three of them (v0.5/tools/submission/submission-checker.py).
_OLD_NAMES = {"resnet": "resnet50", "ssd-small": "ssd-mobilenet", "ssd-large": "ssd-resnet34"}
_HASHES = ("model", "data", "clip")
_SHOWN = 12  # letters of a hash

Key = frozenset[tuple[str, "Value"]]
# The measurements of a side, and the rows with the figure of each by their point.
Side = tuple["Sequence[Measured]", "Sequence[Mapping[Key, Row]]"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A point that every measurement of both sides has.

    Attributes:
        point: where it is.
        a: the metric in each measurement of A.
        b: the same of B.
        estimate: of B / A.
        is_doubtful: a row of it is marked, on either side.
    """

    point: Mapping[str, Value]
    a: tuple[float, ...]
    b: tuple[float, ...]
    estimate: Estimate
    is_doubtful: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A.

    Attributes:
        metric: the figure that is compared.
        better: which way is better; None: neither.
        environment: what differs around the measurements.
        settings: what differs in their settings.
        warnings: what is doubtful, one sentence each.
        cells: in the order of A.
        ratios: their statistics.
        only_a: points that B does not have, in words.
        only_b: points that A does not have.
        failed: points that A measured, and where B has no figure although it tried.
        parts: of the mean latency, if there is one cell and they are known.
    """

    metric: str
    better: Better | None
    environment: list[Difference]
    settings: list[Difference]
    warnings: list[str]
    cells: tuple[Cell, ...]
    ratios: Ratios
    only_a: list[str]
    only_b: list[str]
    failed: list[str]
    parts: tuple[Part, ...] = ()

    @property
    def mean(self) -> Interval:
        """The geometric mean of the ratios."""
        return self.ratios.mean.interval()

    def together(self, cell: Cell) -> Interval:
        """Return the interval of a cell that holds together with those of all others."""
        return cell.estimate.interval(len(self.cells))


def compare(
    a: Sequence[Measured], b: Sequence[Measured], metric: str, assumed: float | None = None
) -> Comparison:
    """Compare two sides, each measured once or several times.

    Args:
        a: the measurements of A.
        b: those of B.
        metric: a figure that both have.
        assumed: see sut.report.compare_statistics.ratios.

    Raises:
        ConfigError: other models or data, no such figure, or no point in common.
    """
    warnings = list(_identities([m.table for m in a], [m.table for m in b]))
    rows_a, rows_b = [_by_point(m) for m in a], [_by_point(m) for m in b]
    _check_metric(metric, [*rows_a, *rows_b])
    every = [_with_figure(rows, metric) for rows in (*rows_a, *rows_b)]
    common = [key for key in every[0] if all(key in rows for rows in every)]
    if not common:
        raise ConfigError(
            f"no point with {metric} in common: A has {_points(every[0])}; B has "
            f"{_points(every[len(a)])}."
        )
    found, cells = _cells(common, (a, every[: len(a)]), (b, every[len(a) :]), metric, assumed)
    have_a, have_b = _union(every[: len(a)]), _union(every[len(a) :])
    tried_b = _union(rows_b)
    return Comparison(
        metric=metric,
        better=better(metric),
        environment=differences([m.table.environment for m in a], [m.table.environment for m in b]),
        settings=[
            *differences([_settings(m.table) for m in a], [_settings(m.table) for m in b]),
            *commands([m.table for m in a], [m.table for m in b]),
        ],
        warnings=[*warnings, *_contents(common, every), *_doubts("A", a), *_doubts("B", b)],
        cells=cells,
        ratios=found,
        only_a=[place(row.point) for key, row in have_a.items() if key not in tried_b],
        only_b=[place(row.point) for key, row in have_b.items() if key not in _union(rows_a)],
        failed=[
            f"{place(row.point)}: {tried_b[key].problem or f'no {metric}'}"
            for key, row in have_a.items()
            if key in tried_b and not all(key in rows for rows in every[len(a) :])
        ],
        parts=_parts(common, every[: len(a)], every[len(a) :]),
    )


def _cells(
    common: Sequence[Key], a: Side, b: Side, metric: str, assumed: float | None
) -> tuple[Ratios, tuple[Cell, ...]]:
    """Return the statistics of the points that all measurements have."""
    runs = [
        [[_series(m, rows[key], metric) for m, rows in zip(*side, strict=True)] for key in common]
        for side in (a, b)
    ]
    found = ratios(runs[0], runs[1], assumed)
    return found, tuple(
        Cell(
            point=a[1][0][key].point,
            a=tuple(run.value for run in of_a),
            b=tuple(run.value for run in of_b),
            estimate=estimate,
            is_doubtful=any(rows[key].marks for rows in (*a[1], *b[1])),
        )
        for key, of_a, of_b, estimate in zip(common, *runs, found.cells, strict=True)
    )


def _parts(
    common: Sequence[Key], a: Sequence[Mapping[Key, Row]], b: Sequence[Mapping[Key, Row]]
) -> tuple[Part, ...]:
    if len(common) > 1:
        return ()
    return parts(*([rows[common[0]].figures for rows in side] for side in (a, b)))


def better(metric: str) -> Better | None:
    """Return which way a figure is better, by its name; None: neither."""
    if metric in _HIGHER:
        return "higher"
    if metric.endswith("_ns") or metric.startswith(_LOWER):
        return "lower"
    return None


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict for CI.

    Attributes:
        min_ratio: the lowest speed of B that passes, as a share of A's.
        reasons: why it does not pass; empty: it does.
        blind: the interval of the mean is too wide to notice such a change; None: it is not.
    """

    min_ratio: float
    reasons: tuple[str, ...]
    blind: str | None

    @property
    def passed(self) -> bool:
        """B is not known to be slower."""
        return not self.reasons


def gate(found: Comparison, min_ratio: float) -> Gate:
    """Judge a comparison: it fails where even the better end of an interval is too low.

    So noise does not fail, and a change fails as soon as it is known to exceed what is allowed.
    Where lower is better, the speed of B is A / B. The geometric mean counts with its own interval,
    and each cell that is not doubtful with one that holds for all cells together. A point that
    failed in B alone fails.

    Raises:
        ConfigError: the metric has no better way.
    """
    if found.better is None:
        raise ConfigError(
            f"--min-ratio: {found.metric} is neither better when higher nor when lower; expected "
            "a rate, a latency or an energy."
        )
    mean = _speed(found.mean, found.better)
    reasons = []
    if mean.high < min_ratio:
        what = "the geometric mean" if len(found.cells) > 1 else place(found.cells[0].point)
        reasons.append(f"{what} is at most {mean.high:.3f}")
    for cell in found.cells if len(found.cells) > 1 else ():
        if cell.is_doubtful:
            continue
        speed = _speed(found.together(cell), found.better)
        if speed.high < min_ratio:
            reasons.append(f"{place(cell.point)} is at most {speed.high:.3f}")
    reasons += [f"only A has {failed}" for failed in found.failed]
    width = mean.high / mean.ratio - 1
    blind = None
    if not reasons and width > 1 - min_ratio:
        blind = (
            f"the gate allows {1 - min_ratio:.1%}, but the mean is known to {width:.1%} only: a "
            "change of that size passes. Run longer, or repeat: sut compare A1,A2,A3 B1,B2,B3."
        )
    return Gate(min_ratio, tuple(reasons), blind)


def _speed(interval: Interval, way: Better) -> Interval:
    if way == "higher":
        return interval
    return Interval(1 / interval.ratio, 1 / interval.high, 1 / interval.low)


def _identities(a: Sequence[Table], b: Sequence[Table]) -> Iterator[str]:
    """Refuse tables of different things, and yield what is not known of them."""
    for what in _HASHES:
        known = [
            dict.fromkeys(t.identity[what] for t in side if what in t.identity) for side in (a, b)
        ]
        _same(what, [[text[:_SHOWN] for text in side] for side in known])
        if any(known) and not all(known):
            side = "A" if known[0] else "B"
            yield f"the {what} is known of {side} alone: nobody knows whether they are the same."
    for name, what in _NAMES.items():
        told = [[t.configuration[name] for t in s if name in t.configuration] for s in (a, b)]
        _same(what, [[_OLD_NAMES.get(text, text) for text in side] for side in told])
    simulated = all(row.simulated for table in (*a, *b) for row in table.rows)
    nothing = not any(set(t.identity) | (set(_NAMES) & set(t.configuration)) for t in (*a, *b))
    if nothing and not simulated:
        yield "neither side says which model and data it measured."
    kinds = [{row.simulated for table in side for row in table.rows} for side in (a, b)]
    if kinds[0] != kinds[1]:
        yield "one side was measured on simulated devices, the other was not."


def _same(what: str, sides: Sequence[Sequence[str]]) -> None:
    every = dict.fromkeys(text for side in sides for text in side)
    if len(every) > 1:
        words = (", ".join(dict.fromkeys(side)) or "unknown" for side in sides)
        raise ConfigError(
            f"A and B are of another {what}: {' and '.join(words)}; expected the same. Their "
            "speeds cannot be compared."
        )


def _settings(table: Table) -> dict[str, str]:
    return {name: text for name, text in table.configuration.items() if name not in _NAMES}


def _contents(common: Sequence[Key], every: Sequence[Mapping[Key, Row]]) -> Iterator[str]:
    """Yield where clips held other numbers of objects: the later stages had other work."""
    for key in common:
        found = [rows[key].figures.get(_OBJECTS) for rows in every]
        known = [objects for objects in found if objects is not None]
        if known and max(known) - min(known) > _ALIKE * max(known):
            yield (
                f"{place(every[0][key].point)}: {min(known):.3g} and {max(known):.3g} objects a "
                "frame: the later stages had other work."
            )


def _doubts(side: str, measured: Sequence[Measured]) -> Iterator[str]:
    rows = [row for one in measured for row in one.table.rows]
    marked = [row for row in rows if row.marks]
    if marked:
        first = f"{place(marked[0].point)}: {marked[0].marks[0]}".rstrip(".")
        yield f"{side}: {len(marked)} of {len(rows)} rows are doubtful, such as {first}."


def _by_point(measured: Measured) -> dict[Key, Row]:
    return {frozenset(row.point.items()): row for row in measured.table.rows}


def _with_figure(rows: Mapping[Key, Row], metric: str) -> dict[Key, Row]:
    """Return the rows with the figure; a ratio of zeros says nothing."""
    return {k: r for k, r in rows.items() if r.problem is None and r.figures.get(metric, 0) > 0}


def _union(several: Sequence[Mapping[Key, Row]]) -> dict[Key, Row]:
    return {key: row for rows in reversed(several) for key, row in rows.items()}


def _series(measured: Measured, row: Row, metric: str) -> Series:
    return Series(row.figures[metric], measured.windows(row, metric))


def _check_metric(metric: str, several: Sequence[Mapping[Key, Row]]) -> None:
    known = dict.fromkeys(name for rows in several for r in rows.values() for name in r.figures)
    if metric not in known:
        raise ConfigError(
            f"--metric: no row has {metric}.{nearest(metric, known)} There are: {', '.join(known)}."
        )


def _points(rows: Mapping[Key, Row]) -> str:
    return "; ".join(place(row.point) or "one without a name" for row in rows.values()) or "none"
