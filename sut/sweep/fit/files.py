"""The files of `sut fit`: fit.json with everything, fit.md and fit.csv to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.files import write_whole
from sut.record.table import place
from sut.sweep.columns import as_csv, markdown
from sut.sweep.fit.result import FIT_FILE, FitResult, FitRow, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIT_MD, FIT_CSV = "fit.md", "fit.csv"
_MB = 1e6
_TITLES = (
    "largest batch", "with reserve", "needs, MB", "limit, MB", "weights, MB", "context, MB",
    "a sample, MB", "model's error", "samples/s", "ran in", "tries", "s", "bound",
)  # fmt: skip


def write(folder: Path, result: FitResult) -> None:
    """Write all files, each whole or not at all."""
    rows = [msgspec.to_builtins(row) for row in result.rows]
    axes = _axes(result.rows)
    names = [
        name for name in FitRow.__struct_fields__ if name not in {"point", "marks", "engine_bytes"}
    ]
    table = [
        [
            *(str(row["point"].get(axis, "")) for axis in axes),
            *("" if row[name] is None else str(row[name]) for name in names),
            "; ".join(row["marks"]),
        ]
        for row in rows
    ]
    write_whole(
        {
            folder / FIT_FILE: encode(result).decode(),
            folder / FIT_CSV: as_csv([*axes, *names, "marks"], table, _block(result)),
            folder / FIT_MD: as_markdown(result),
        }
    )


def as_markdown(result: FitResult) -> str:
    """Return the result for people."""
    block = "".join(f"- {name}: {value}\n" for name, value in _block(result).items())
    parts = [f"# {result.title}\n", block, as_table(result.rows)]
    for row in result.rows:
        parts += [f"{place(row.point)}: {mark}.\n" for mark in row.marks]
    return "\n".join([*parts, f"Command: `{result.command}`\n"])


def as_table(rows: Sequence[FitRow]) -> str:
    """Return the rows as a table of Markdown, which is also plain text."""
    return markdown(*columns(rows))


def columns(rows: Sequence[FitRow]) -> tuple[list[str], list[list[str]]]:
    """Return titles and cells for people; a column without any value is left out."""
    axes = _axes(rows)
    cells = [[*(str(row.point.get(axis, "")) for axis in axes), *_cells(row)] for row in rows]
    titles = [*axes, *_TITLES]
    kept = [k for k in range(len(titles)) if any(row[k] for row in cells)]
    return [titles[k] for k in kept], [[row[k] for k in kept] for row in cells]


def _cells(row: FitRow) -> list[str]:
    reserve = row.largest_batch_with_reserve
    sample = row.activation_bytes_per_sample
    if sample is not None and row.io_bytes_per_sample is not None:
        sample += 2 * row.io_bytes_per_sample
    return [
        "" if row.largest_batch is None else f"{row.largest_batch:,}",
        "" if reserve is None else f"{reserve:,} ({row.reserve:.0%})",
        _megabytes(row.needed_bytes),
        _megabytes(row.limit_bytes),
        _megabytes(row.weights_bytes),
        _megabytes(row.context_bytes),
        "" if sample is None else f"{sample / _MB:,.3g}",
        "" if row.model_error is None else f"{row.model_error:.1%}",
        "" if row.samples_per_s is None else f"{row.samples_per_s:,.4g}",
        row.precision,
        str(row.tries),
        f"{row.seconds:.0f}",
        row.problem or row.bound,
    ]


def _megabytes(size: float | None) -> str:
    return "" if size is None else f"{size / _MB:,.1f}"


def _axes(rows: Sequence[FitRow]) -> list[str]:
    return list(dict.fromkeys(axis for row in rows for axis in row.point))


def _block(result: FitResult) -> dict[str, str]:
    return {**result.configuration, "Limit": result.limit, "Samples": result.samples}
