"""A comparison of devices as text: a line for each try, tables for people. Only words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.table import place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.record.table import Row, Table

    Figures = Mapping[str, float]

SOURCE = "sut devices"  # of such tables
_MS, _MJ, _MB, _GIGA, _TERA = 1e6, 1e3, 1e6, 1e9, 1e12
_NONE = "-"


def _number(row: Row, name: str, unit: float, form: str = ".4g") -> str:
    value = row.figures.get(name)
    return _NONE if value is None else f"{value / unit:{form}}"


def _interval(row: Row, name: str, unit: float) -> str:
    ends = [row.figures.get(f"{name}_{end}_ns") for end in ("low", "high")]
    if None in ends:
        return _NONE
    low, high = (f"{(value or 0.0) / unit:.4g}" for value in ends)
    return f"{_number(row, f'{name}_ns', unit)} ({low} to {high})"


def _percent(row: Row, name: str, form: str = ".1%") -> str:
    value = row.figures.get(name)
    return _NONE if value is None else f"{value:{form}}"


def _points(row: Row) -> str:
    value = row.figures.get("accuracy_delta")
    if value is None:
        return _NONE
    low, high = (row.figures.get(f"accuracy_delta_{end}") for end in ("low", "high"))
    between = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{between}"


# Axes in front of every table, then a title and what makes its cell.
_AXES = ("device", "precision", "batch")
SPEED: Mapping[str, Callable[[Row], str]] = {
    "samples/s": lambda row: _number(row, "samples_per_s", 1, ",.4g"),
    "batch on the device, ms": lambda row: _interval(row, "compute_p50", _MS),
    "latency, ms": lambda row: _number(row, "latency_p50_ns", _MS),
    "MB": lambda row: _number(
        row, "memory_bytes" if "memory_bytes" in row.figures else "host_memory_bytes", _MB, ",.0f"
    ),
    "W": lambda row: _number(row, "power_w", 1),
    "mJ a sample": lambda row: _number(row, "energy_j_per_sample", 1 / _MJ),
}
PRECISION: Mapping[str, Callable[[Row], str]] = {
    "accuracy": lambda row: _percent(row, "accuracy"),
    "less fp32 (95 %), points": _points,
    "same answers": lambda row: _percent(row, "same_share"),
    "layers in it": lambda row: _percent(row, "layers_share", ".0%"),
    "FLOPs in it": lambda row: _percent(row, "flops_share", ".0%"),
    "ran in": lambda row: row.labels.get("ran in", _NONE),
}
ROOF: Mapping[str, Callable[[Row], str]] = {
    "GFLOP": lambda row: _number(row, "flops", _GIGA),
    "MB moved": lambda row: _number(row, "bytes_moved", _MB),
    "FLOP/byte": lambda row: _number(row, "intensity", 1, ".3g"),
    "TFLOP/s": lambda row: _number(row, "flops_per_s", _TERA, ".3g"),
    "GB/s": lambda row: _number(row, "bytes_per_s", _GIGA, ".3g"),
    "of the roof": lambda row: _percent(row, "roof_share", ".0%"),
    "bound by": lambda row: row.labels.get("bound", _NONE),
}
TABLES: Mapping[str, Mapping[str, Callable[[Row], str]]] = {
    "Speed": SPEED, "Precision": PRECISION, "Roofline": ROOF,
}  # fmt: skip


def told(row: Row) -> str:
    """Return a row in one line."""
    where = place(row.point)
    if row.problem is not None:
        return f"{where}: {row.problem}"
    figures = row.figures
    half = (figures["compute_p50_high_ns"] - figures["compute_p50_low_ns"]) / 2
    return (
        f"{where}: {figures['compute_p50_ns'] / _MS:.4g} ms ± "
        f"{half / figures['compute_p50_ns']:.1%}, {figures['samples_per_s']:,.4g} samples/s"
    )


def tables(table: Table) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return (title, header, cells) of each table that has something to say."""
    rows = [row for row in table.rows if row.problem is None]
    found = []
    for title, columns in TABLES.items():
        cells = {name: [cell(row) for row in rows] for name, cell in columns.items()}
        kept = [name for name, values in cells.items() if any(v != _NONE for v in values)]
        if kept:
            lines = [
                [*(str(row.point[axis]) for axis in _AXES), *(cells[name][k] for name in kept)]
                for k, row in enumerate(rows)
            ]
            found.append((title, [*_AXES, *kept], lines))
    return found


def notes(table: Table) -> list[str]:
    """Return what a table cannot show: rows without figures, labels, marks, and the reason."""
    said: dict[str, list[Row]] = {}
    for row in table.rows:
        texts = [row.problem] if row.problem is not None else list(row.marks)
        if "support" in row.labels:
            texts.append(row.labels["support"])
        if "not counted" in row.labels:
            texts.append(f"operators that are not counted: {row.labels['not counted']}")
        for one in texts:
            said.setdefault(one, []).append(row)
    found = [f"{where}: {one}" for one, rows in said.items() for where in _places(table, rows)]
    sources = {
        f"The peak of device {row.point['device']}: {row.labels['peak']}."
        for row in table.rows
        if "peak" in row.labels
    }
    return [*found, *sorted(sources)]


def _places(table: Table, rows: Sequence[Row]) -> list[str]:
    """Return where rows are; without the batch where it is said of all batches."""
    found: dict[str, None] = {}
    for row in rows:
        setting = {axis: value for axis, value in row.point.items() if axis != "batch"}
        batches = [r for r in table.rows if setting.items() <= r.point.items()]
        found[place(setting if all(r in rows for r in batches) else row.point)] = None
    return list(found)


def differences(table: Table) -> list[tuple[str, dict[str, str]]]:
    """Return in what the devices differ: a name, and its value by device."""
    names = list(dict.fromkeys(str(row.point["device"]) for row in table.rows))
    facts: dict[str, dict[str, str]] = {}
    for device in names:
        prefix = f"device {device} "
        for key, value in table.environment.items():
            if key.startswith(prefix):
                facts.setdefault(key.removeprefix(prefix), {})[device] = value
    return [
        (name, {device: values.get(device, _NONE) for device in names})
        for name, values in facts.items()
        if len({values.get(device, _NONE) for device in names}) > 1
    ]


def markdown(table: Table) -> str:
    """Return the text of table.md."""
    parts = [f"# {table.title}\n"]
    if different := differences(table):
        names = list(different[0][1])
        lines = [[name, *values.values()] for name, values in different]
        parts += ["## In what the devices differ\n", _table(["", *names], lines)]
    for title, header, lines in tables(table):
        parts += [f"## {title}\n", _table(header, lines)]
    if told_more := notes(table):
        parts.append("".join(f"- {note}\n" for note in told_more))
    parts.append("".join(f"- {name}: {value}\n" for name, value in table.configuration.items()))
    parts.append(f"Command: `{table.command}`\n")
    return "\n".join(parts)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
