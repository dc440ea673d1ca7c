"""What a page says of a table: its knee, the best point within each budget, every row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import structs

from sut.record.table import place
from sut.report import environment, page, sweep_charts
from sut.report.section import Overview, Section
from sut.sweep.budgets import ASSUMED_SHARE, RATE, TAIL, TAIL_HIGH, TAIL_LOW, best_within, knee

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.record.table import Row, Table, Value
    from sut.report.folder import Sweep
    from sut.report.section import Block
    from sut.sweep.budgets import Best

_MS = 1e6
_EDGE = " ⚠"
# Budgets of p99 that people ask for, in ms; a page has those that its rows lie around.
BUDGETS_MS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_LEFT_OUT = "Usual budgets that have the same answer as the one above are left out."
_TIMES = {
    "latency_mean_ns": "mean ms", "latency_p50_ns": "p50 ms", "latency_p90_ns": "p90 ms",
    "latency_p95_ns": "p95 ms", TAIL: "p99 ms", "latency_p999_ns": "p99.9 ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the rows: header, factor from the figure's unit, format."""

    header: str
    factor: float = 1.0
    form: str = ",.4g"


_COLUMNS = {
    RATE: _Column("samples/s", form=",.1f"),
    "spread": _Column("± 95 %", form=".1%"),
    "requests_per_s": _Column("requests/s", form=",.1f"),
    **{name: _Column(header, 1 / _MS, ",.3f") for name, header in _TIMES.items()},
    "mean_batch": _Column("mean batch", form=",.2f"),
    "requests": _Column("requests", form=",.0f"),
    "duration_s": _Column("duration s", form=",.1f"),
    "turn_overs": _Column("turn-overs", form=",.0f"),
    "little": _Column("Little's ratio", form=".3f"),
    "lateness_p99_ns": _Column("lateness p99 ms", 1 / _MS, ",.3f"),
    "late_share": _Column("late", form=".2%"),
    "power_w": _Column("power W", form=",.1f"),
    "energy_j_per_sample": _Column("J/sample"),
    "memory_bytes": _Column("memory GiB", 1 / 2**30, ",.2f"),
    "accuracy": _Column("accuracy", form=".2%"),
}


def section(sweep: Sweep, budgets_ms: Sequence[float], *, are_asked: bool) -> Section:
    """Return what a page says of a table.

    Args:
        sweep: the table, and its folder.
        budgets_ms: of p99, ascending.
        are_asked: the user named the budgets, so all of them are shown; else those of this table.

    Raises:
        DataError: the trace of a row cannot be read.
    """
    table, fixed = _shortened(sweep.table)
    sweep = replace(sweep, table=table)
    found, answers = knee(table), best_within(table, [ms * _MS for ms in budgets_ms])
    own = [ms * _MS for ms in budgets_for([table])]
    shown = [answer for answer in answers if are_asked or answer.budget_ns in own]
    blocks: list[Block] = [
        ("", page.lead(_lead(table, found))),
        ("", page.code(table.command)),
        ("Configuration", page.facts([(k, v, "") for k, v in table.configuration.items()])),
        ("Best point within each budget of p99", _budgets(shown)),
        ("", page.paragraph(_LEFT_OUT) if shown and not are_asked else ""),
        ("Charts", page.figures(sweep_charts.pictures(sweep, found))),
        ("Rows", _rows(table.rows)),
        ("Average parts of the latency", _parts(table.rows)),
        ("Identity", page.facts([(k, v, "") for k, v in table.identity.items()])),
        ("Environment", page.facts(environment.flat(table.environment))),
    ]
    about = [
        f"By {table.source}, load {table.load}, {len(table.rows)} points.",
        f"All points: {place(fixed)}." if fixed else "",
        environment.started(table.started),
    ]
    return Section(
        title=table.title,
        about=(" ".join(filter(None, about)),),
        doubts=_doubts(table),
        blocks=tuple(blocks),
        overview=_overview(table, found, answers),
        data={
            "kind": "table",
            "all_points": fixed,
            "rows": len(table.rows),
            "marked": sum(bool(row.marks) for row in table.rows),
            "failed": sum(row.problem is not None for row in table.rows),
            "knee": None if found is None else found.point,
            "best": [_as_data(answer) for answer in answers],
        },
    )


def budgets_for(tables: Sequence[Table]) -> list[float]:
    """Return the budgets, in ms, that the p99 of these tables lie around.

    Left out is one at which no table has another answer than at the one before.
    """
    tails = [row.figures[TAIL] / _MS for t in tables for row in t.rows if TAIL in row.figures]
    if not tails:
        return []
    within = [ms for ms in BUDGETS_MS if min(tails) <= ms < max(tails)]
    within += [ms for ms in BUDGETS_MS if ms >= max(tails)][:1]
    answers = [best_within(one, [ms * _MS for ms in within]) for one in tables]
    return [within[k] for k in _changing(answers)]


def _shortened(table: Table) -> tuple[Table, dict[str, Value]]:
    """Return the table without the axes on which all rows are the same, and these."""
    first = table.rows[0].point if table.rows else {}
    fixed = {
        axis: value
        for axis, value in first.items()
        if all(row.point.get(axis) == value for row in table.rows)
    }
    if len(fixed) == len(first):
        return table, {}
    rows = tuple(
        structs.replace(row, point={a: v for a, v in row.point.items() if a not in fixed})
        for row in table.rows
    )
    return structs.replace(table, rows=rows), fixed


def _changing(tables: Sequence[Sequence[Best]]) -> list[int]:
    """Return at which budgets the answer of some table is another than at the one before."""
    columns = list(zip(*tables, strict=True))
    return [
        k
        for k, column in enumerate(columns)
        if k == 0
        or any(
            one.row is not before.row or one.knife_edge or before.knife_edge
            for one, before in zip(column, columns[k - 1], strict=True)
        )
    ]


def _lead(table: Table, found: Row | None) -> str:
    fastest = max(
        (row for row in table.rows if RATE in row.figures),
        key=lambda row: row.figures[RATE],
        default=None,
    )
    if fastest is None or found is None:
        return "No point has a throughput."
    text = f"Most: {_rate(fastest)} at {place(fastest.point)}."
    if found is not fastest:
        text += f" Knee: {place(found.point)} reaches {_rate(found)}, within 3 % of it."
    failed, marked = sum(r.problem is not None for r in table.rows), _marked(table.rows)
    for words, count in (("Without figures", failed), ("Marked", marked)):
        text += f" {words}: {count} of {len(table.rows)} points." if count else ""
    return text


def _marked(rows: Sequence[Row]) -> int:
    return sum(bool(row.marks) for row in rows)


def _rate(row: Row) -> str:
    spread = row.figures.get("spread")
    return f"{row.figures[RATE]:,.6g} samples/s{'' if spread is None else f' ± {spread:.1%}'}"


def _doubts(table: Table) -> tuple[str, ...]:
    measured = [row for row in table.rows if row.problem is None]
    simulated = sum(row.simulated for row in measured)
    if not simulated:
        return ()
    if simulated == len(measured):
        return (environment.SIMULATED,)
    return (f"{simulated} of {len(measured)} rows: {environment.SIMULATED}",)


def _budgets(answers: Sequence[Best]) -> str:
    """Return a line for each budget, and below them why an answer stands on a knife-edge."""
    if not answers:
        return ""
    header = ("p99 budget", "best point", "samples/s", "± 95 %", "p99 ms", "p99 lies between")
    edges = [f"{_budget(a)}, knife-edge: {a.knife_edge}." for a in answers if a.knife_edge]
    rows = [[_budget(answer), *_answer(answer)] for answer in answers]
    return page.table(header, rows, (1, 5), "Best point within each budget") + page.points(edges)


def _budget(answer: Best) -> str:
    return f"{answer.budget_ns / _MS:g} ms"


def _answer(answer: Best) -> list[str]:
    mark = _EDGE if answer.knife_edge else ""
    if (row := answer.row) is None:
        return [f"none{mark}", "", "", "", ""]
    figures = row.figures
    between = (
        f"{figures[TAIL_LOW] / _MS:,.4g} and {figures[TAIL_HIGH] / _MS:,.4g} ms"
        if TAIL_LOW in figures and TAIL_HIGH in figures
        else f"not known; taken as ± {ASSUMED_SHARE:.0%}"
    )
    cells = [_cell(row, name, _COLUMNS[name]) for name in (RATE, "spread", TAIL)]
    return [f"{place(row.point)}{mark}", *cells, between]


def _overview(table: Table, found: Row | None, answers: Sequence[Best]) -> Overview:
    budgets = list(map(_budget, answers))
    cells = [
        "none"
        if answer.row is None
        else f"{place(answer.row.point)}: {answer.row.figures[RATE]:,.0f}"
        for answer in answers
    ]
    edges = [_EDGE if answer.knife_edge else "" for answer in answers]
    header = ("table", "knee", *budgets)
    knee_words = "-" if found is None else place(found.point)
    shown = [cell + edge for cell, edge in zip(cells, edges, strict=True)]
    title = "Most samples/s within a budget of p99 (⚠: on a knife-edge)"
    return Overview(title, header, (table.title, knee_words, *shown), tuple(range(len(header))))


def _rows(rows: Sequence[Row]) -> str:
    axes = list(dict.fromkeys(axis for row in rows for axis in row.point))
    columns = {k: c for k, c in _COLUMNS.items() if any(k in row.figures for row in rows)}
    has_notes = any(row.marks or row.problem for row in rows)
    header = [*(a.replace("_", " ") for a in axes), *(c.header for c in columns.values())]
    lines = []
    for row in rows:
        line = [f"{row.point[axis]}" if axis in row.point else "-" for axis in axes]
        line += [_cell(row, name, column) for name, column in columns.items()]
        if has_notes:
            notes = " ".join([*row.marks, *([row.problem] if row.problem else [])])
            line.append(f"⚠ {notes}" if notes else "")
        lines.append(line)
    header += ["marks and problems"] if has_notes else []
    texts = (k for k, a in enumerate(axes) if any(isinstance(r.point.get(a), str) for r in rows))
    left = (*texts, *((len(header) - 1,) if has_notes else ()))
    return page.table(header, lines, left, "Rows")


def _cell(row: Row, name: str, column: _Column) -> str:
    value = row.figures.get(name)
    return "-" if value is None else format(value * column.factor, column.form)


def _parts(rows: Sequence[Row]) -> str:
    """Return the means of the parts, as the stacked chart has them."""
    names = sweep_charts.parts_of(rows)
    if not names:
        return ""
    axes = list(dict.fromkeys(axis for row in rows for axis in row.point))
    header = [*(a.replace("_", " ") for a in axes), *(f"{sweep_charts.words(n)} ms" for n in names)]
    column = _Column("", 1 / _MS, ",.3f")
    lines = [
        [
            *(f"{row.point.get(axis, '-')}" for axis in axes),
            *(_cell(row, f"{name}_ns", column) for name in names),
        ]
        for row in rows
    ]
    return page.table(header, lines, title="Average parts of the latency")


def _as_data(answer: Best) -> dict[str, object]:
    row = answer.row
    return {
        "budget_ms": answer.budget_ns / _MS,
        "point": None if row is None else row.point,
        "samples_per_s": None if row is None else row.figures[RATE],
        "latency_p99_ns": None if row is None else row.figures[TAIL],
        "knife_edge": answer.knife_edge,
    }
