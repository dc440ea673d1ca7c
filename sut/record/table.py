"""A table of measured points: what a sweep measured or an importer read, one row a point.

Written as table.json. docs/sweeps.md lists the keys and the figures. Only data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE_FILE = "table.json"
# Grows when a key of table.json changes its meaning.
SCHEMA = 1

# The parts of a latency from the scheduled time, in order; the figure `NAME_ns` is the mean over
# samples, `NAME_p50_ns` and `NAME_p99_ns` its percentiles.
PARTS = ("issue", "queue", "dispatch", "compute", "completion")
# The same as NVIDIA's Triton splits it; an importer knows only their means, `NAME_ns`.
TRITON_PARTS = (
    "client_send",
    "network",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "client_recv",
)

# A value on an axis, such as a batch size or a backend's name.
Value = int | float | str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One point.

    Attributes:
        point: where it is, by axis: {"batch": 64}, {"concurrency": 8, "request_batch": 16},
            {"qps": 2000.0}; further axes by the name of their setting, such as "backend".
        figures: what was measured, by name with its unit, such as "samples_per_s" and
            "latency_p99_ns"; one that is not known is absent, never zero.
        windows: samples/s in each of equal parts of the measurement, for intervals; empty: unknown.
        marks: why it is doubtful, one sentence each, such as that it breaks Little's law.
        problem: why it has no figures; None if it has.
        simulated: no real engine ran.
        folder: of its run, relative to the table's folder; None without one.
        labels: what is known in words, by name, such as what bounds it: {"bound": "memory"}.
    """

    point: dict[str, Value]
    figures: dict[str, float] = {}
    windows: tuple[float, ...] = ()
    marks: tuple[str, ...] = ()
    problem: str | None = None
    simulated: bool = False
    folder: str | None = None
    labels: dict[str, str] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one model, with what they were measured on.

    Attributes:
        schema: see SCHEMA.
        title: a line for people.
        source: "sut sweep", or the tool whose file was imported, such as "perf_analyzer".
        load: "offline", "closed", "poisson", "constant", "replay"; "open": an imported rate of
            unknown distribution; "loadgen": an axis names LoadGen's scenario; "free", "live": the
            pace of a video.
        configuration: the block above the table, never empty: {"Backend": "torch"}.
        identity: hashes by what they identify ("model", "data", "clip"): tables whose hashes differ
            are not compared. Absent: unknown.
        environment: machine, driver, library versions, by name.
        command: repeats it; empty for an import.
        started: ISO 8601 time; empty if unknown.
        rows: in the order of the sweep.
    """

    schema: int = SCHEMA
    title: str
    source: str
    load: str
    configuration: dict[str, str]
    identity: dict[str, str] = {}
    environment: dict[str, str] = {}
    command: str = ""
    started: str = ""
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a table that does not say what it was measured with."""
        if not self.configuration:
            raise DataError(
                f"table {self.title!r} has no configuration; expected at least one line, such as "
                '{"Backend": "torch"}. A figure without its configuration cannot be used.'
            )


def place(point: Mapping[str, Value]) -> str:
    """Return where a point is, in words: `concurrency 8, request batch 16`."""
    return ", ".join(f"{axis.replace('_', ' ')} {_shown(v)}" for axis, v in point.items())


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def encode(table: Table) -> bytes:
    """Return the text of table.json."""
    return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def decode(text: bytes, where: str) -> Table:
    """Read the text of a table.json.

    Args:
        text: of the file.
        where: its path, for messages.

    Raises:
        DataError: it is no table, or its schema is newer than this program.
    """
    try:
        table = msgspec.json.decode(text, type=Table)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{where}: {error}; expected the table of `sut sweep`.") from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if table.schema > SCHEMA:
        raise DataError(
            f"{where}: schema {table.schema}; expected {SCHEMA} or less. Read it with the version "
            "of this program that wrote it, or a later one."
        )
    return table
