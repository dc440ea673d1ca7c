"""A comparison as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.report import page
from sut.report.compare_text import apart, cells, gate_line, summary, verdict, ways

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.report.compare import Comparison, Gate


def html(found: Comparison, gate: Gate | None, sides: Sequence[str], command: str) -> str:
    """Return the page of a comparison.

    Args:
        found: what was compared.
        gate: its verdict; None without one.
        sides: what A and B are, in words.
        command: repeats it.
    """
    header, *rows = cells(found)
    parts = [page.lead(f"{found.metric}: {verdict(found)}", is_good=_is_good(found))]
    if gate is not None:
        parts.append(page.lead(gate_line(gate), is_good=gate.passed))
    blind = [gate.blind] if gate is not None and gate.blind else []
    parts += map(page.warning, [*found.warnings, *blind])
    for title, differences in (("Environment", found.environment), ("Settings", found.settings)):
        parts.append(page.heading(f"{title} that differ{'s' * (title == 'Environment')}"))
        names = ("name", "A", "B")
        parts.append(
            page.table(names, differences, left=(0, 1, 2), title=title)
            if differences
            else page.paragraph("No difference is known.")
        )
    parts += [
        page.heading("Ratios"),
        page.table(header, rows, left=(0, 5), title="Ratios"),
        page.points([*apart(found), *summary(found)]),
        *_ways(found),
        page.heading("Command"),
        page.code(command),
    ]
    return page.page("Comparison of A and B", sides, parts)


def _ways(found: Comparison) -> list[str]:
    if not found.parts:
        return []
    title = "Where the difference of the mean latency lies"
    header, *rows = ways(found.parts)
    table = page.table(header[:-1], [row[:-1] for row in rows], left=(0,), title=title)
    return [page.heading(title), table]


def _is_good(found: Comparison) -> bool | None:
    """Say whether B is better; None: no difference is known, or none is better."""
    if found.better is None or not found.mean.excludes_one:
        return None
    return (found.mean.ratio > 1) == (found.better == "higher")
