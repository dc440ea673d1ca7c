"""NVIDIA's studies of models on Triton: Markdown with a configuration above every table.

Columns: those of perf_analyzer, in ms. Source: DeepLearningExamples,
PyTorch/Forecasting/TFT/triton/README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.record.importers import perf_analyzer
from sut.record.importers.source import Line, named, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.record.importers.source import Source
    from sut.record.table import Table

TOOL = "Triton study"
_PARAMETERS = "Parameter Name"


def recognizes(source: Source) -> bool:
    """Say whether there is such a table in the text."""
    return any(
        line.lstrip().startswith("|") and perf_analyzer.RATE in line
        for line in source.text.splitlines()
    )


def read(source: Source) -> list[Table]:
    """Return every table in the text, each with the configuration above it.

    Raises:
        DataError: names the line that is wrong.
    """
    tables: list[Table] = []
    configuration = told(source, bullet="-")
    for rows in _grids(source):
        (first, header), *others = rows
        lines = [named(source, number, header, cells) for number, cells in others]
        if header[0] == _PARAMETERS:
            configuration = {cells[0]: cells[1] for _, cells in others if len(cells) > 1}
        elif perf_analyzer.RATE in header:
            if not lines:
                raise source.error(first, "no line below the header; expected measured points.")
            tables.append(_table(source, header, lines, configuration))
            configuration = {}
    return tables


def _table(
    source: Source, header: list[str], lines: list[Line], configuration: dict[str, str]
) -> Table:
    table = perf_analyzer.table_of(source, header, lines, configuration)
    named_by = [
        configuration[key]
        for key in ("Benchmark", "GPU", "Backend", "Dataset")
        if key in configuration
    ]
    title = ", ".join(named_by) or f"{source.where}:{lines[0].number}"
    return msgspec.structs.replace(table, title=f"{title}, {table.load}", source=TOOL)


def _grids(source: Source) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield the tables of the text: their lines with numbers, without the one of dashes."""
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*source.text.splitlines(), ""], 1):
        text = line.strip()
        if not text.startswith("|"):
            if rows:
                yield rows
            rows = []
            continue
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if not all(cell and set(cell) <= set(":-") for cell in cells):
            rows.append((number, cells))
