"""LoadGen's logs: a strict reader of mlperf_log_detail.txt, and the summary's text.

One record a line, `:::MLLOG {json}` (loadgen/logging.cc). The log of a killed process may end
anywhere. The reader accepts that, and refuses any other damage. Knows no scenario.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DETAIL_FILE = "mlperf_log_detail.txt"
SUMMARY_FILE = "mlperf_log_summary.txt"

_MARKER = ":::MLLOG "
_EFFECTIVE = "effective_"
_FIRST_KEY = "loadgen_version"
_ONCE = (_FIRST_KEY, "result_validity")  # no test logs one of them twice
_COUNTS_ERRORS = (5, 0, 16)  # LoadGen 5.0.15 and older end no performance log with num_errors
# LoadGen prints numbers as C++ does. The rate of a single query is 0 / 0: "nan", which is not JSON.
_NOT_A_NUMBER = re.compile(r'("value": )-?(nan|inf)\b')

# LoadGen says when it began in its first ten records.
_STARTED = re.compile(rb'"key": "test_datetime", "value": "([0-9T:.Z+-]{1,40})"')
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class DetailLog(Mapping[str, object]):
    """The records of a detail log by key; the last value of a repeated key.

    Attributes:
        records: key to value.
        errors: texts of LoadGen's error records, in order.
        warnings: texts of its warnings; "Logging allocation detected" is usual at high rates.
        complete: LoadGen reached the end of the test.
        runs: how many tests began or ended in it; a log of a single test has 1.
    """

    records: Mapping[str, object]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    complete: bool
    runs: int = 1

    def __getitem__(self, key: str) -> object:
        return self.records[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def effective(self) -> dict[str, object]:
        """The settings in force, by LoadGen's name without "effective_"."""
        return {
            key.removeprefix(_EFFECTIVE): value
            for key, value in self.records.items()
            if key.startswith(_EFFECTIVE)
        }

    @property
    def validity(self) -> str | None:
        """VALID or INVALID; None for an accuracy or an interrupted run."""
        value = self.records.get("result_validity")
        return value if isinstance(value, str) else None

    @property
    def over_latency(self) -> int | None:
        """How many queries were later than the bound; None for a scenario without one."""
        value = self.records.get("result_overlatency_query_count")
        return int(value) if isinstance(value, int | float) else None


class _Metadata(msgspec.Struct, frozen=True):
    is_error: bool
    is_warning: bool


class _Record(msgspec.Struct, frozen=True):
    """A record as LoadGen writes it; a tree has a million of them."""

    key: str
    value: object
    metadata: _Metadata


_DECODER = msgspec.json.Decoder(_Record)


def read_detail(path: Path) -> DetailLog:
    """Read a detail log.

    Args:
        path: the file, or the run folder that holds it as mlperf_log_detail.txt.

    Raises:
        DataError: it cannot be read, or a line is not a record; names file and line.
    """
    file = path / DETAIL_FILE if path.is_dir() else path
    found, whole = _records(file)
    values = {record.key: record.value for record in found}
    return DetailLog(
        records=values,
        errors=tuple(str(record.value) for record in found if record.metadata.is_error),
        warnings=tuple(str(record.value) for record in found if record.metadata.is_warning),
        complete=whole and _ended(found, values),
        runs=max(sum(record.key == key for record in found) for key in _ONCE),
    )


def read_summary_text(path: Path) -> str:
    """Return mlperf_log_summary.txt; empty if LoadGen died before it wrote it.

    Args:
        path: the file, or the run folder that holds it.

    Raises:
        DataError: it cannot be read.
    """
    return _text(path / SUMMARY_FILE if path.is_dir() else path)


def started(file: Path) -> str:
    """Return when a test began, an ISO 8601 time; empty for a log that does not say it."""
    try:
        with file.open("rb") as log:
            head = log.read(_HEAD_BYTES)
    except OSError:
        return ""
    found = _STARTED.search(head)
    return found[1].decode() if found else ""


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():  # to read a pipe or a device may never end
        raise DataError(f"{file}: is not a file; expected one that LoadGen wrote.")
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise DataError(f"{file}: no such file. Did LoadGen run in this folder?") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}.") from error


def _records(file: Path) -> tuple[list[_Record], bool]:
    """Return the records, and whether the last line is complete."""
    lines = _text(file).split("\n")
    tail = lines.pop()  # empty, because LoadGen ends every record with a line feed
    found = [_record(line, file, number) for number, line in enumerate(lines, 1)]
    return found, bool(found) and not tail


def _record(line: str, file: Path, number: int) -> _Record:
    if line.startswith(_MARKER):
        with suppress(msgspec.DecodeError, RecursionError):
            return _DECODER.decode(line[len(_MARKER) :])
    return _unusual_record(line, file, number)


def _unusual_record(line: str, file: Path, number: int) -> _Record:
    """Read what a strict reader refuses: C++'s words for numbers; or say what is wrong."""
    try:
        if not line.startswith(_MARKER):
            raise ValueError(f'it does not begin with "{_MARKER}"')
        fields = json.loads(_NOT_A_NUMBER.sub(_as_json, line.removeprefix(_MARKER)))
        flags = fields["metadata"]
        return _Record(
            key=str(fields["key"]),
            value=fields["value"],
            metadata=_Metadata(flags["is_error"] is True, flags["is_warning"] is True),
        )
    except RecursionError as error:
        raise DataError(
            f"{file}:{number}: JSON nested too deeply; expected a line as LoadGen wrote it."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        start = line if len(line) <= 60 else f"{line[:60]}..."  # noqa: PLR2004 - fits a terminal
        raise DataError(
            f"{file}:{number}: {start!r} is not a LoadGen record: {_why(error)}."
            " Expected a line as LoadGen wrote it."
        ) from error


def _as_json(match: re.Match[str]) -> str:
    # json reads NaN and Infinity. Their sign says nothing about a run.
    return match[1] + {"nan": "NaN", "inf": "Infinity"}[match[2]]


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _ended(found: list[_Record], values: Mapping[str, object]) -> bool:
    """Return whether the log has the records that LoadGen writes last."""
    if values.get("effective_test_mode") != "AccuracyOnly":
        counted = "num_errors" in values or _version(values) < _COUNTS_ERRORS
        return counted and "result_validity" in values
    # An accuracy run has no result. It is complete if each loadable set of samples ended.
    sizes = ("effective_accuracy_sample_count", "qsl_reported_total_count")
    total = min((n for key in sizes if isinstance(n := values.get(key), int)), default=0)
    loaded = values.get("effective_performance_sample_count")
    if not total or not isinstance(loaded, int) or not loaded:
        return False
    return sum(record.key == "power_end" for record in found) == -(-total // loaded)


def _version(values: Mapping[str, object]) -> tuple[int, ...]:
    """Return the numbers of LoadGen's version; today's for a log that does not say it."""
    found = re.match(r"\d{1,6}(?:\.\d{1,6})*", str(values.get(_FIRST_KEY, "")))
    return tuple(int(part) for part in found[0].split(".")) if found else _COUNTS_ERRORS
