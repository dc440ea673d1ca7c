"""What a table answers: the best point within a latency budget, and the knee.

Pure: a table in, rows out. Knows neither how they were measured nor how they are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sut.record.table import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sut.record.table import Row, Table, Value

RATE, TAIL = "samples_per_s", "latency_p99_ns"
# The ends of the 95 % interval of p99, of a row that knows them.
TAIL_LOW, TAIL_HIGH = "latency_p99_low_ns", "latency_p99_high_ns"
# Where a table knows no interval. perf_analyzer calls windows stable whose latencies differ by so
# much (triton-inference-server/perf_analyzer, docs/measurements_metrics.md).
ASSUMED_SHARE = 0.10
# Two answers whose rates differ by less are the same answer.
SAME_SHARE = 0.03
# The axes of loads; a row has one of them. The smallest value is the smallest load.
LOAD_AXES = ("batch", "concurrency", "qps", "speed")
# What else a load may vary; all other axes are settings of the system.
_OF_LOADS = {*LOAD_AXES, "request_batch"}
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Best:
    """The answer for one budget.

    Attributes:
        budget_ns: of p99.
        row: of the highest rate whose p99 is within the budget; None: there is none.
        knife_edge: why another answer is as likely, in one sentence; None: it is not.
        cautious: the answer if every p99 lies at the upper end of its interval.
        hopeful: the answer if every p99 lies at the lower end of its interval.
    """

    budget_ns: float
    row: Row | None
    knife_edge: str | None = None
    cautious: Row | None = None
    hopeful: Row | None = None


def best_within(table: Table, budgets_ns: Sequence[float]) -> list[Best]:
    """Return the best row within each budget of p99.

    A row without a rate or without a p99 is no answer. A p99 has an interval: the row's own, or
    else ASSUMED_SHARE on either side. Where its ends lead to rates that differ by more than
    SAME_SHARE, the answer stands on a knife-edge.

    Args:
        table: of one or more settings; the best of all of them is the answer.
        budgets_ns: above 0.
    """
    rows = [row for row in table.rows if {RATE, TAIL} <= row.figures.keys()]
    return [_best(rows, budget_ns) for budget_ns in budgets_ns]


def by_setting(table: Table) -> list[tuple[dict[str, Value], Table]]:
    """Return a table for each setting of the system, with the axes that are not the load's."""
    found: dict[tuple[tuple[str, Value], ...], list[Row]] = {}
    for row in table.rows:
        setting = tuple((axis, v) for axis, v in row.point.items() if axis not in _OF_LOADS)
        found.setdefault(setting, []).append(row)
    return [
        (dict(setting), msgspec.structs.replace(table, rows=tuple(rows)))
        for setting, rows in found.items()
    ]


def knee(table: Table, share: float = SAME_SHARE) -> Row | None:
    """Return the row of the smallest load whose rate is within `share` of the highest.

    Small is a batch, a concurrency or a rate of queries, whichever the rows have. The rates of a
    table may fall behind their peak; rows there are no knee, as they are larger.

    Returns:
        None if no row has a rate.
    """
    rows = [row for row in table.rows if RATE in row.figures]
    peak = max((row.figures[RATE] for row in rows), default=0.0)
    near = [row for row in rows if row.figures[RATE] >= (1 - share) * peak]
    return min(near, key=_load, default=None)


def _best(rows: Sequence[Row], budget_ns: float) -> Best:
    answer = _fastest(rows, budget_ns, lambda row: row.figures[TAIL])
    cautious = _fastest(rows, budget_ns, lambda row: _tail_ns(row)[1])
    hopeful = _fastest(rows, budget_ns, lambda row: _tail_ns(row)[0])
    edge = _knife_edge(budget_ns, answer, cautious, hopeful)
    return Best(budget_ns, answer, edge, cautious, hopeful)


def _fastest(rows: Iterable[Row], budget_ns: float, tail_ns: Callable[[Row], float]) -> Row | None:
    within = (row for row in rows if tail_ns(row) <= budget_ns)
    return max(within, key=_rate, default=None)


def _tail_ns(row: Row) -> tuple[float, float]:
    """Return both ends of the interval of p99."""
    figures = row.figures
    tail_ns = figures[TAIL]
    if TAIL_LOW in figures and TAIL_HIGH in figures:
        return figures[TAIL_LOW], figures[TAIL_HIGH]
    return tail_ns * (1 - ASSUMED_SHARE), tail_ns * (1 + ASSUMED_SHARE)


def _knife_edge(
    budget_ns: float, answer: Row | None, cautious: Row | None, hopeful: Row | None
) -> str | None:
    low, high = _rate(cautious), _rate(hopeful)
    if low >= (1 - SAME_SHARE) * high:
        return None
    # It decides: the answer, if its p99 may be above the budget, or a faster row that may be below.
    doubtful = answer if answer is not cautious and answer is not None else hopeful
    assert doubtful is not None, "a rate above 0 is that of a row"
    low_ns, high_ns = _tail_ns(doubtful)
    return (
        f"the answer may be {_shown(cautious)} or {_shown(hopeful)}: p99 of "
        f"{place(doubtful.point)} lies between {_ms(low_ns)} and {_ms(high_ns)} ms, and the budget "
        f"of {_ms(budget_ns)} ms cuts through it"
    )


def _shown(row: Row | None) -> str:
    return "none" if row is None else f"{place(row.point)} ({row.figures[RATE]:,.0f}/s)"


def _ms(ns: float) -> str:
    return f"{ns / _NS_PER_MS:.3g}"


def _rate(row: Row | None) -> float:
    return 0.0 if row is None else row.figures[RATE]


def _load(row: Row) -> float:
    sizes = (row.point.get(axis) for axis in LOAD_AXES)
    return next((float(size) for size in sizes if isinstance(size, int | float)), 0.0)
