"""A comparison in plain text and as JSON. Formats only."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from sut.record.table import place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sut.report.compare import Cell, Comparison, Gate
    from sut.report.compare_environment import Difference
    from sut.report.compare_parts import Part
    from sut.report.compare_statistics import Interval

_SPREADS = {
    "repeats": "measured on repeated runs",
    "windows": "by the parts of one run of each side; repeats would measure it",
    "neighbours": "by how much neighbouring points differ, from one run of each side",
    "assumed": "assumed: one run of each side, without windows; repeats would measure it",
}
_NS_PER_MS = 1e6
_LARGE = 1e5  # numbers from here on have no fraction
_NUMBERS = 1  # columns from here on are aligned to the right


def lines(found: Comparison, gate: Gate | None) -> Iterator[str]:
    """Yield the comparison for people: what differs around it first."""
    for title, differences in (("Environment", found.environment), ("Settings", found.settings)):
        if differences:
            yield f"{title} (A -> B)"
            yield from _differences(differences)
    if not (found.environment or found.settings):
        yield "Environment and settings: no difference is known"
    yield from (f"warning: {text}" for text in found.warnings)
    yield ""
    yield from _table(cells(found))
    yield from apart(found)
    yield ""
    if found.parts:
        yield from _table(ways(found.parts))
        yield ""
    yield from summary(found)
    if gate is not None:
        yield gate_line(gate)
        if gate.blind:
            yield f"warning: {gate.blind}"


def cells(found: Comparison) -> list[tuple[str, ...]]:
    """Return the names of the columns, and a line for each cell."""
    header = ("point", f"A, {_unit(found.metric)}", "B", "B / A", "95 % interval", "")
    return [header, *(_row(found, cell) for cell in found.cells)]


def ways(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """Return the names of the columns, and a line for each part of the mean latency, in ms."""

    def shown(ns: float | None) -> str:
        return "-" if ns is None else f"{ns / _NS_PER_MS:,.3f}"

    header = ("part of the mean latency, ms", "A", "B", "B - A", "")
    return [
        header,
        *(
            (p.name, shown(p.a_ns), shown(p.b_ns), f"{p.more_ns / _NS_PER_MS:+,.3f}", "")
            for p in parts
        ),
    ]


def apart(found: Comparison) -> Iterator[str]:
    """Yield the points that only one side has."""
    for side, points in (("A", found.only_a), ("B", found.only_b)):
        if points:
            yield f"only in {side}: {'; '.join(points)}"
    yield from (f"only A has a figure at {text}" for text in found.failed)


def summary(found: Comparison) -> Iterator[str]:
    """Yield worst, best and mean, the verdict, and how far runs differ."""
    if len(found.cells) > 1:
        ordered = sorted(found.cells, key=lambda cell: cell.estimate.log)
        worst, best = (ordered[0], ordered[-1])[:: -1 if found.better == "lower" else 1]
        for name, cell in (("worst", worst), ("best", best)):
            yield f"{name}: {place(cell.point)}, {_shown(cell.estimate.interval())}"
        yield f"geometric mean of {len(found.cells)} points: {_shown(found.mean)}"
    yield f"{found.metric}: {verdict(found)}"
    spread = found.ratios.spread
    yield f"Two runs of one setting differ by about {spread.share:.2%}, {_SPREADS[spread.source]}."


def verdict(found: Comparison) -> str:
    """Say which side is better, or that no difference is known."""
    mean = found.mean
    if not mean.excludes_one:
        return f"no difference is known, to within {mean.high / mean.ratio - 1:.1%}."
    change = f"{abs(mean.ratio - 1):.1%} {'higher' if mean.ratio > 1 else 'lower'}"
    if found.better is None:
        return f"B is {change}."
    good = (mean.ratio > 1) == (found.better == "higher")
    return f"B is {'better' if good else 'worse'}: {change}."


def gate_line(gate: Gate) -> str:
    """Say whether the gate passed, and why not."""
    if gate.passed:
        return f"gate: passed; nothing is known to be below {gate.min_ratio:g}"
    return f"gate: failed, below {gate.min_ratio:g}: {'; '.join(gate.reasons)}"


def _row(found: Comparison, cell: Cell) -> tuple[str, ...]:
    interval = cell.estimate.interval()
    mark = "differs" if found.together(cell).excludes_one else ""
    if cell.is_doubtful:
        mark = "doubtful"
    return (
        place(cell.point) or "all",
        _values(found.metric, cell.a),
        _values(found.metric, cell.b),
        f"{interval.ratio:.4f}",
        f"{interval.low:.4f} to {interval.high:.4f}",
        mark,
    )


def _values(metric: str, values: Sequence[float]) -> str:
    scale = _NS_PER_MS if metric.endswith("_ns") else 1.0
    return (
        f"{fmean(values) / scale:,.5g}"
        if fmean(values) < 1e5 * scale
        else f"{fmean(values) / scale:,.0f}"
    )


def _unit(metric: str) -> str:
    return f"{metric.removesuffix('_ns')} in ms" if metric.endswith("_ns") else metric


def _shown(interval: Interval) -> str:
    return f"{interval.ratio:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def _differences(differences: Sequence[Difference]) -> Iterator[str]:
    width = max(len(name) for name, _, _ in differences)
    return (f"  {name.ljust(width)}  {before} -> {after}" for name, before, after in differences)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (
            cell.rjust(width) if _NUMBERS <= k < len(row) - 1 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
        if not number:
            yield "  ".join("-" * width for width in widths).rstrip()


def as_json(found: Comparison, gate: Gate | None) -> dict[str, object]:
    """Return the comparison as plain data."""
    spread = found.ratios.spread
    content: dict[str, object] = {
        "metric": found.metric,
        "better": found.better,
        "environment": [_difference(one) for one in found.environment],
        "settings": [_difference(one) for one in found.settings],
        "warnings": found.warnings,
        "cells": [
            {
                "point": dict(cell.point),
                "a": list(cell.a),
                "b": list(cell.b),
                "doubtful": cell.is_doubtful,
                **_interval(cell.estimate.interval()),
                "together": _interval(found.together(cell)),
            }
            for cell in found.cells
        ],
        "geometric_mean": _interval(found.mean),
        "differs": found.mean.excludes_one,
        "spread": {"source": spread.source, "share": spread.share},
        "parts": [{"part": p.name, "a_ns": p.a_ns, "b_ns": p.b_ns} for p in found.parts],
        "only_in_a": found.only_a,
        "only_in_b": found.only_b,
        "failed_in_b": found.failed,
    }
    if gate is not None:
        content["gate"] = {
            "min_ratio": gate.min_ratio,
            "passed": gate.passed,
            "reasons": list(gate.reasons),
            "blind": gate.blind,
        }
    return content


def _difference(one: Difference) -> dict[str, str]:
    return dict(zip(("name", "a", "b"), one, strict=True))


def _interval(interval: Interval) -> dict[str, float]:
    return {"ratio": interval.ratio, "low": interval.low, "high": interval.high}
