"""The summary of a study: one line a variant. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.study import StudyRecord
from sut.sweep import columns
from sut.sweep.budgets import RATE, TAIL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.study import Verdict
    from sut.record.table import Row, Table

HEADER = (
    "variant", "verified", "SNR dB", "score", "one sample p50 ms", "offline samples/s",
    "speed-up", "online samples/s", "its p99 ms", "simulated",
)  # fmt: skip
# Columns of text; all others hold figures.
TEXT = ("variant", "verified", "simulated")
_MS = 1e6
_NOT_KNOWN = "-"


def summary(
    verdicts: Sequence[Verdict], tables: Mapping[str, Table]
) -> tuple[list[str], list[list[str]]]:
    """Return titles, and a line a variant: its answers, and its fastest points.

    A column that nobody has a figure for is left out.

    Args:
        verdicts: of all variants.
        tables: by load, "offline" and "closed". Speed-up is over the first variant with figures.
    """
    best = {
        kind: {v.variant: _fastest(table, v) for v in verdicts} for kind, table in tables.items()
    }
    offline, online = best.get("offline", {}), best.get("closed", {})
    rates = (row.figures[RATE] for row in (offline or online).values() if row is not None)
    base = next(rates, None)
    rows = [_line(v, tables, offline.get(v.variant), online.get(v.variant), base) for v in verdicts]
    known = [k for k in range(len(HEADER)) if any(row[k] != _NOT_KNOWN for row in rows)]
    return [HEADER[k] for k in known], [[row[k] for k in known] for row in rows]


def reasons(verdicts: Sequence[Verdict], tables: Mapping[str, Table]) -> list[str]:
    """Return why variants have no figures, and what is doubtful in those that have."""
    found = [f"{v.variant}: {v.stage}: {v.reason}" for v in verdicts if v.reason is not None]
    found += [f"{v.variant}: {warning}" for v in verdicts for warning in v.warnings]
    stopped = {v.variant for v in verdicts if v.reason is not None}
    for kind, table in tables.items():
        failed: dict[str, list[Row]] = {}
        for row in table.rows:
            if row.problem is not None and row.point["variant"] not in stopped:
                failed.setdefault(str(row.point["variant"]), []).append(row)
        found += [
            f"{variant}: {len(rows)} points of load {kind} failed; the first: {rows[0].problem}"
            for variant, rows in failed.items()
        ]
    return found


def as_markdown(study: StudyRecord, tables: Mapping[str, Table]) -> str:
    """Return study.md."""
    notes = "".join(f"- {reason}\n" for reason in reasons(study.verdicts, tables))
    links = "".join(f"- [{folder}]({folder}/table.md)\n" for folder in study.tables)
    parts = [
        f"# {study.title}\n",
        f"{study.about}\n" if study.about else "",
        f"Gate: {study.gate}.\n",
        columns.markdown(*summary(study.verdicts, tables)),
        notes,
        f"Tables:\n\n{links}",
        f"Command: `{study.command}`\n",
    ]
    return "\n".join(part for part in parts if part)


def _fastest(table: Table, verdict: Verdict) -> Row | None:
    rows = [row for row in _rows(table, verdict) if RATE in row.figures]
    return max(rows, key=lambda row: row.figures[RATE], default=None)


def _rows(table: Table, verdict: Verdict) -> list[Row]:
    return [row for row in table.rows if row.point.get("variant") == verdict.variant]


def _line(
    verdict: Verdict, tables: Mapping[str, Table], offline: Row | None, online: Row | None,
    base: float | None,
) -> tuple[str, ...]:  # fmt: skip
    first = offline or online
    return (
        verdict.variant,
        _verified(verdict),
        _NOT_KNOWN if verdict.snr_db is None else f"{verdict.snr_db:.1f}",
        _NOT_KNOWN if verdict.score is None else f"{verdict.score:.4f}",
        _one_sample(tables, verdict),
        _peak(offline, "batch"),
        f"{first.figures[RATE] / base:.2f}" if first is not None and base else _NOT_KNOWN,
        _peak(online, "concurrency"),
        _NOT_KNOWN if online is None else f"{online.figures[TAIL] / _MS:,.4g}",
        "yes" if first is not None and first.simulated else "no" if first is not None else "-",
    )


def _verified(verdict: Verdict) -> str:
    if verdict.reason is not None:
        return f"NO: {verdict.stage}"
    if not verdict.samples:
        return "no model"
    return "yes, by a tolerance that tests nothing" if verdict.warnings else "yes"


def _one_sample(tables: Mapping[str, Table], verdict: Verdict) -> str:
    if "offline" not in tables:
        return _NOT_KNOWN
    rows = (row for row in _rows(tables["offline"], verdict) if row.point.get("batch") == 1)
    row = next(rows, None)
    if row is None or "latency_p50_ns" not in row.figures:
        return _NOT_KNOWN
    return f"{row.figures['latency_p50_ns'] / _MS:,.4g}"


def _peak(row: Row | None, axis: str) -> str:
    if row is None:
        return _NOT_KNOWN
    return f"{row.figures[RATE]:,.6g} at {axis} {row.point[axis]}"
