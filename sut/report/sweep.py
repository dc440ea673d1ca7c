"""What a page says of a table: its knee, the best point within each budget, every row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec import structs

from sut.record.table import place
from sut.report import concurrency_charts, environment, page, sweep_charts, sweep_rows, video_charts
from sut.report.roofline import roofline
from sut.report.section import Overview, Section
from sut.report.sweep_charts import pictures
from sut.sweep.budgets import ASSUMED_SHARE, RATE, TAIL, TAIL_HIGH, TAIL_LOW, best_within, knee
from sut.sweep.devices import text as of_devices

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
_OVERVIEW = f"Most samples/s within a budget of p99 ({_EDGE.strip()}: on a knife-edge)"
_SEVERAL = 2


@dataclass(frozen=True, slots=True)
class _Setting:
    """Rows that differ in the load alone: their setting in words, its axis, and their answers."""

    name: str
    axis: str
    knee: Row | None
    answers: list[Best]


def section(sweep: Sweep, budgets_ms: Sequence[float], *, are_asked: bool) -> Section:
    """Return what a page says of a table.

    Args:
        sweep: the table, and its folder.
        budgets_ms: of p99, ascending.
        are_asked: the user named the budgets, so all of them are shown; else those of this table.

    Raises:
        DataError: the trace of a row cannot be read.
    """
    whole = sweep.table
    table, fixed = _shortened(whole)
    sweep = replace(sweep, table=table)
    answers = best_within(table, [ms * _MS for ms in budgets_ms])
    groups = sweep_charts.groups_of(table.rows)
    settings = _settings(groups, table, budgets_ms)
    knees = [one.knee for one in settings if one.knee is not None]
    own = [ms * _MS for ms in budgets_for([table])]
    shown = [answer for answer in answers if are_asked or answer.budget_ns in own]
    blocks: list[Block] = [
        ("", page.lead(_lead(table, knees if len(settings) == 1 else []))),
        ("", page.code(table.command)),
        *_of_devices(whole),
        *video_charts.blocks(whole),
        ("Configuration", page.facts([(k, v, "") for k, v in table.configuration.items()])),
        ("Best point within each budget of p99", _budgets(shown)),
        ("", page.paragraph(_LEFT_OUT) if shown and not are_asked else ""),
        (_OVERVIEW if len(settings) > 1 else "", _by_setting(settings)),
        ("How the processes share", page.figures(_of_processes(sweep))),
        ("Charts", page.figures([*roofline(whole.rows), *pictures(sweep, groups, knees)])),
        ("Rows", sweep_rows.rows_of(table)),
        ("Average parts of the latency", sweep_rows.parts_of(table.rows)),
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
        overview=Overview(_OVERVIEW, *_lines(table.title, settings)),
        data=_data(table, fixed, answers, settings),
    )


def _of_processes(sweep: Sweep) -> list[tuple[str, str]]:
    is_shared = sweep.table.source == concurrency_charts.SOURCE
    return concurrency_charts.pictures(sweep) if is_shared else []


def _data(
    table: Table, fixed: dict[str, Value], answers: list[Best], settings: list[_Setting]
) -> dict[str, object]:
    return {
        "kind": "table",
        "all_points": fixed,
        "rows": len(table.rows),
        "marked": sum(bool(row.marks) for row in table.rows),
        "failed": sum(row.problem is not None for row in table.rows),
        "best": [_as_data(answer) for answer in answers],
        "settings": [
            {
                "setting": one.name,
                "knee": None if one.knee is None else one.knee.point,
                "best": [_as_data(answer) for answer in one.answers],
            }
            for one in settings
        ],
    }


def _of_devices(table: Table) -> list[Block]:
    """Return the tables of a comparison of devices, their differences first; else nothing."""
    if table.source != of_devices.SOURCE:
        return []
    different = of_devices.differences(table)
    header = ("", *different[0][1]) if different else ()
    lines = [(name, *values.values()) for name, values in different]
    title = "In what the devices differ"
    blocks: list[Block] = [(title, page.table(header, lines, (0,), title))] if different else []
    for name, names, cells in of_devices.tables(table):
        blocks.append((name, page.table(names, cells, (0, 1), name)))
    return [*blocks, ("", page.points(of_devices.notes(table)))]


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


def _lead(table: Table, knees: Sequence[Row]) -> str:
    known = [row for row in table.rows if RATE in row.figures]
    if not known:
        return "No point has a throughput."
    fastest = max(known, key=lambda row: row.figures[RATE])
    text = f"Most: {_rate(fastest)} at {place(fastest.point)}."
    for row in knees:
        if row is not fastest:
            text += f" Knee: {place(row.point)} reaches {_rate(row)}, within 3 % of it."
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
    cells = [sweep_rows.cell(row, name) for name in (RATE, "spread", TAIL)]
    return [f"{place(row.point)}{mark}", *cells, between]


def _settings(
    groups: Sequence[sweep_charts.Group], table: Table, budgets_ms: Sequence[float]
) -> list[_Setting]:
    axis, found = sweep_charts.main_axis(table.rows), []
    for name, rows in groups:
        of_setting = structs.replace(table, rows=tuple(rows))
        answers = best_within(of_setting, [ms * _MS for ms in budgets_ms])
        found.append(_Setting(name, axis, knee(of_setting), answers))
    return found


def _by_setting(settings: Sequence[_Setting]) -> str:
    if len(settings) < _SEVERAL:
        return ""
    header, lines, left = _lines("", settings)
    return page.table(("setting", *header[1:]), lines, left, _OVERVIEW)


def _lines(
    title: str, settings: Sequence[_Setting]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[int, ...]]:
    """Return header, lines and columns of text of an overview, a line for each setting."""
    header = ("table", "knee", *map(_budget, settings[0].answers if settings else ()))
    lines = tuple(
        (
            ", ".join(filter(None, (title, one.name))),
            "-" if one.knee is None else _load(one.knee, one.axis),
            *(_brief(answer, one.axis) for answer in one.answers),
        )
        for one in settings
    )
    return header, lines, tuple(range(len(header)))


def _brief(answer: Best, axis: str) -> str:
    mark = _EDGE if answer.knife_edge else ""
    if answer.row is None:
        return f"none{mark}"
    return f"{_load(answer.row, axis)}: {answer.row.figures[RATE]:,.0f}{mark}"


def _load(row: Row, axis: str) -> str:
    """Return the load of a row in words, without its setting."""
    return place({axis: row.point[axis]} if axis in row.point else row.point)


def _as_data(answer: Best) -> dict[str, object]:
    row = answer.row
    return {
        "budget_ms": answer.budget_ns / _MS,
        "point": None if row is None else row.point,
        "samples_per_s": None if row is None else row.figures[RATE],
        "latency_p99_ns": None if row is None else row.figures[TAIL],
        "knife_edge": answer.knife_edge,
    }
