"""The files of a sweep: table.json, table.csv, table.md, and a summary with all parameters."""

from __future__ import annotations

import platform
import re
import time
from typing import TYPE_CHECKING, TypeAlias

from msgspec import structs

from sut.base import environment
from sut.base.files import write_whole
from sut.record.table import Table, encode, place
from sut.sweep import block
from sut.sweep import columns as text
from sut.sweep.budgets import by_setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sut.record.table import Value
    from sut.sweep.session import Found
    from sut.sweep.steady import Rule

    # The configuration of each setting, by the setting in words.
    Blocks: TypeAlias = Mapping[str, Mapping[str, str]]
    # A setting, its rows, and its configuration.
    _Part: TypeAlias = tuple[dict[str, Value], Table, Mapping[str, str]]

TABLE_JSON, TABLE_CSV, TABLE_MD = "table.json", "table.csv", "table.md"


class Files:
    """Writes what a sweep has found, whenever there is more of it.

    Args:
        folder: of the sweep.
        columns: of table.csv and table.md, one of sut.sweep.columns.COLUMNS.
        rule: how long a point is measured.
        title: of the table.
        command: repeats the sweep.
        identity: see sut.record.table.Table.
        source: the command, in two words.
    """

    def __init__(  # noqa: PLR0913 - what a table says of its sweep
        self,
        folder: Path,
        columns: str,
        rule: Rule,
        title: str,
        command: str,
        identity: Mapping[str, str],
        source: str = "sut sweep",
    ) -> None:
        self._folder = folder
        self._columns = columns
        self._rule = rule
        self._title = title
        self._command = command
        self._identity = dict(identity)
        self._source = source
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._environment = machine()

    def table(self, found: Found) -> Table:
        """Return the table of what was found, never empty."""
        return Table(
            title=self._title,
            source=self._source,
            load=found[0][0].load.kind,
            configuration=block.together(self._blocks(found).values()),
            identity=self._identity,
            environment=self._environment,
            command=self._command,
            started=self._started,
            rows=tuple(measured.row for _, measured in found),
        )

    def write(self, found: Found) -> None:
        """Write all files, each whole or not at all."""
        table, blocks = self.table(found), self._blocks(found)
        summary = "offline_summary.csv" if table.load == "offline" else "online_summary.csv"
        files = {
            self._folder / TABLE_JSON: encode(table).decode(),
            self._folder / TABLE_MD: _markdown(table, self._columns, blocks),
            self._folder / summary: text.as_csv(*_summary(table, blocks), {}),
        }
        if self._columns == "triton":
            files |= _one_a_setting(self._folder, table, blocks)
        else:
            whole = text.as_csv(*text.full(table), table.configuration)
            files[self._folder / TABLE_CSV] = whole
        write_whole(files)

    def _blocks(self, found: Found) -> Blocks:
        """Return the configuration of each setting: of a point whose engine opened, if there is."""
        blocks: dict[str, dict[str, str]] = {}
        for task, measured in found:
            key = place(task.setting)
            if measured.facts or key not in blocks:
                blocks[key] = block.of(task, measured.facts, self._rule)
        return blocks


def machine() -> dict[str, str]:
    """Return what the machine and its software are, flat."""
    return {
        "cpu": environment.cpu_model(),
        "cores": str(environment.cores()),
        "memory_bytes": str(environment.memory_bytes()),
        "system": environment.os_name(),
        "kernel": platform.release(),
        "commit": environment.commit() or "unknown",
        "load_average_1min": f"{environment.load_average():.2f}",
        **environment.versions(),
    }


def _summary(table: Table, blocks: Blocks) -> tuple[list[str], list[list[str]]]:
    """Return every row with every parameter of its setting as a column."""
    settings = by_setting(table)
    names = list(dict.fromkeys(name for setting, _ in settings for name in blocks[place(setting)]))
    titles, rows = text.full(table)
    of_rows: dict[int, list[str]] = {}
    for setting, part in settings:
        values = blocks[place(setting)]
        of_rows |= {id(row): [values.get(name, "") for name in names] for row in part.rows}
    width = len(text.axes(table))
    return [*titles[:width], *names, *titles[width:]], [
        [*cells[:width], *of_rows[id(row)], *cells[width:]]
        for row, cells in zip(table.rows, rows, strict=True)
    ]


def _one_a_setting(folder: Path, table: Table, blocks: Blocks) -> dict[Path, str]:
    """Return a CSV file for each setting: the study's columns do not say which it is."""
    found = {}
    for setting, part in by_setting(table):
        name = re.sub(r"[^A-Za-z0-9.+-]+", "-", "-".join(map(str, setting.values()))).strip("-")
        path = folder / (f"table-{name}.csv" if name else TABLE_CSV)
        if rows := text.lines(part, "triton"):
            found[path] = text.as_csv(text.header(part, "triton"), rows, blocks[place(setting)])
    return found


def _markdown(table: Table, columns: str, blocks: Blocks) -> str:
    parts = [f"# {table.title}\n"]
    for setting, part, block_ in _parts(table, columns, blocks):
        if setting:
            parts.append(f"## {place(setting)}\n")
        parts.append("".join(f"- {name}: {value}\n" for name, value in block_.items()))
        if rows := text.lines(part, columns):
            parts.append(text.markdown(text.header(part, columns), rows))
        if notes := text.notes(part):
            parts.append("\n\n".join(notes) + "\n")
    parts.append(f"Command: `{table.command}`\n")
    return "\n".join(parts)


def _parts(table: Table, columns: str, blocks: Blocks) -> list[_Part]:
    """Return a part for each setting; those with the same configuration are one, with all rows.

    Its setting has the axes on which they agree. The study's columns show no axis of a setting.
    """
    found: list[_Part] = []
    for setting, part in by_setting(table):
        of_part = blocks[place(setting)]
        same = next((k for k, one in enumerate(found) if one[2] == of_part), None)
        if same is None or columns == "triton":
            found.append((setting, part, of_part))
            continue
        before, rows, _ = found[same]
        common = {axis: value for axis, value in before.items() if setting.get(axis) == value}
        joined = structs.replace(rows, rows=(*rows.rows, *part.rows))
        found[same] = common, joined, of_part
    return found
