"""What a page says of `sut fit`: the largest batches, and measured memory beside its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.record.table import place
from sut.report import page
from sut.report.section import Section
from sut.report.svg import Axes, Mark, Series, chart
from sut.sweep.fit.files import columns
from sut.sweep.fit.memory_model import can_fit, fit_memory

if TYPE_CHECKING:
    from sut.report.folder import Fit
    from sut.sweep.fit.result import ModelPart

_MB = 1e6
_STEPS = 24  # of a line
_ABOUT = (
    "Points are what processes took, all together. Lines are the model: each process needs its "
    "context, the weights, and so much for each sample of a batch; and no less than its engine "
    "takes while it opens. A batch above the limit does not fit."
)


def section(fit: Fit) -> Section:
    """Return what a page says of a search for what fits."""
    result = fit.result
    header, lines = columns(result.rows)
    limit = max((row.limit_bytes or 0 for row in result.rows), default=0)
    pictures = [_picture(part, limit) for part in result.models]
    block = [(name, value, "") for name, value in result.configuration.items()]
    marks = [f"{place(row.point)}: {mark}" for row in result.rows for mark in row.marks]
    fitting = [row for row in result.rows if row.problem is None]
    return Section(
        title=result.title,
        about=(result.started, f"Limit: {result.limit}. Samples: {result.samples}."),
        doubts=(),
        blocks=(
            ("", page.lead(f"{len(fitting)} of {len(result.rows)} places have an answer.")),
            ("", page.code(result.command)),
            ("Largest batches", page.table(header, lines, (0, len(header) - 1), "Batches")),
            ("", page.points(marks)),
            ("Memory by batch", page.figures(pictures)),
            ("", page.paragraph(_ABOUT) if pictures else ""),
            ("Configuration", page.facts(block)),
        ),
        data={"kind": "fit", "rows": msgspec.to_builtins(result.rows)},
    )


def _picture(part: ModelPart, limit_bytes: int) -> tuple[str, str]:
    """Return the chart of one model and its caption."""
    title = f"Memory by batch, {place(part.point)}".rstrip(", ")
    counts = sorted({point.processes for point in part.points})
    series = []
    for colour, count in enumerate(counts, 1):
        name = f"{count} process{'es' if count > 1 else ''}"
        mine = sorted({(p.batch, p.bytes / _MB) for p in part.points if p.processes == count})
        series.append(Series(name, mine, "points", colour=colour))
    caption = f"{title}: too few points for a model"
    if can_fit(part.points, part.sizes):
        model = fit_memory(part.points, part.sizes)
        for colour, count in enumerate(counts, 1):
            last = max(point.batch for point in part.points if point.processes == count)
            batches = sorted({1 + (last - 1) * k // _STEPS for k in range(_STEPS + 1)})
            line = [(batch, model.predict(count, batch) / _MB) for batch in batches]
            series.append(Series("", line, "line", colour=colour, dashed=True))
        caption = f"{title}: {model.sample_bytes / _MB:,.3g} MB a sample; error {model.error:.1%}"
    marks = [Mark("y", limit_bytes / _MB, "limit")] if limit_bytes else []
    axes = Axes(x="batch, samples", y="MB", y_from_zero=True, x_from_zero=True)
    return chart(title, axes, series, marks), caption
