"""Reads a result of another tool, whichever it is: its content says so, never its name alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sut.base.errors import DataError
from sut.record.importers import (
    mlperf,
    model_analyzer,
    perf_analyzer,
    study,
    trtexec,
    trtexec_times,
)
from sut.record.importers.source import read_source

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.importers.source import Source
    from sut.record.table import Table


class Reader(Protocol):
    """A module that reads one kind of file."""

    def recognizes(self, source: Source) -> bool:
        """Say whether a text is of its kind."""

    def read(self, source: Source) -> list[Table]:
        """Return the tables in it, at least one, or raise a DataError that names the line."""


# Each kind of file, as a user calls it, with what recognizes and reads it. The first that
# recognizes a text reads it.
KINDS: dict[str, Reader] = {
    "LoadGen's summary or detail log": mlperf,
    "perf_analyzer's CSV (-f)": perf_analyzer,
    "model_analyzer's CSV": model_analyzer,
    "trtexec's --exportTimes": trtexec_times,
    "trtexec's output": trtexec,
    "the Markdown of a study on Triton": study,
}


def read_tables(path: Path, batch: int | None = None) -> list[Table]:
    """Return the tables in a file or folder of another tool; at least one.

    Args:
        path: a file of one of KINDS, the folder of a LoadGen run, or a submission's tree.
        batch: samples of a request, for files that do not say it.

    Raises:
        DataError: it is none of these, or it is damaged; names the line.
    """
    if path.is_dir():
        return mlperf.read_folder(path)
    source = read_source(path, batch)
    for reader in KINDS.values():
        if reader.recognizes(source):
            return reader.read(source)
    first = source.text.strip().split("\n", 1)[0][:60]
    raise DataError(
        f"{path}:1: {first!r} begins no result that is known; expected one of: "
        f"{', '.join(KINDS)}; or the folder of a LoadGen run or of a submission."
    )
