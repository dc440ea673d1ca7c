"""What lies in a folder: runs, a table, a study, a tuning, a search for what fits; read whole.

Knows file names, no pages.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import yaml

from scenarios import scenario_names
from sut.base.errors import ConfigError, DataError
from sut.record import study as studies
from sut.record import table as tables
from sut.record import trace_reader
from sut.record.loadgen_logs import DETAIL_FILE, started
from sut.record.run_folder import (
    BATCHES_FILE,
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    SCHEDULE_FILE,
    SUMMARY_FILE,
    read_result,
)
from sut.record.study import STUDY_FILE
from sut.record.table import TABLE_FILE
from sut.report import tuning_story
from sut.sweep.fit.result import FIT_FILE, read_fit

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.result import Result
    from sut.record.study import StudyRecord
    from sut.record.table import Table
    from sut.record.trace import Trace
    from sut.report.tuning_story import Story
    from sut.sweep.fit.result import FitResult

PERFORMANCE = "performance"


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run.

    Attributes:
        folder: its path.
        result: its summary.json.
        config: its config.yaml; empty without one.
        environment: its environment.json; empty without one.
        started: ISO 8601 time by LoadGen's log; empty: unknown.
    """

    folder: Path
    result: Result
    config: dict[str, object]
    environment: dict[str, object]
    started: str

    def trace(self) -> Trace | None:
        """Return its trace; None without one.

        Raises:
            DataError: it cannot be read.
        """
        return trace_of(self.folder, self.result)


@dataclass(frozen=True, slots=True)
class Runs:
    """A folder with a run folder for each of several scenarios."""

    folder: Path
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A folder with a table."""

    folder: Path
    table: Table


@dataclass(frozen=True, slots=True)
class Study:
    """The folder of a study, with the tables of its loads."""

    folder: Path
    record: StudyRecord
    sweeps: tuple[Sweep, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The folder of a tuning."""

    folder: Path
    story: Story


@dataclass(frozen=True, slots=True)
class Fit:
    """The folder of a search for what fits."""

    folder: Path
    result: FitResult


Found = Run | Runs | Sweep | Study | Tuning | Fit


def read(folder: Path) -> Found | None:
    """Return what lies in a folder; None if it is nothing that this module knows.

    Raises:
        ConfigError: there is no such folder.
        DataError: a file in it cannot be read.
    """
    if not folder.is_dir():
        what = "is a file; expected its folder" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}. Name one that `sut` wrote results into.")
    if (folder / TABLE_FILE).is_file():
        return _sweep(folder)
    if (path := folder / STUDY_FILE).is_file():
        record = studies.read(path)
        return Study(folder, record, tuple(_sweep(folder / inner) for inner in record.tables))
    if (path := folder / tuning_story.DATA_FILE).is_file():
        return Tuning(folder, tuning_story.read(path))
    if (path := folder / FIT_FILE).is_file():
        return Fit(folder, read_fit(_bytes(path), str(path)))
    if (folder / SUMMARY_FILE).is_file():
        return _run(folder)
    inner = sorted(path for path in folder.iterdir() if (path / SUMMARY_FILE).is_file())
    order = dict(zip(scenario_names(), itertools.count(), strict=False))
    runs = sorted(map(_run, inner), key=lambda run: order.get(run.result.scenario, len(order)))
    return Runs(folder, tuple(runs)) if runs else None


def _sweep(folder: Path) -> Sweep:
    path = folder / TABLE_FILE
    return Sweep(folder, tables.decode(_bytes(path), str(path)))


def trace_of(folder: Path, result: Result | None = None) -> Trace | None:
    """Return the trace of a run folder; None without one.

    Args:
        folder: of a run.
        result: of it, which knows how much the trace has; None: all.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / BATCHES_FILE
    if not path.is_file():
        return None
    if result is None:
        return trace_reader.load(path)
    return trace_reader.load(path, result.trace, (result.batches.count, result.samples))


def point_of(folder: Path) -> tuple[Trace, bool] | None:
    """Return the trace of a point of a sweep, and whether its samples arrive when they were due.

    A thinned trace does not have every request, so there they arrive when they were issued.

    Returns:
        None where there is no trace.

    Raises:
        DataError: it cannot be read.
    """
    trace, path = trace_of(folder), folder / SCHEDULE_FILE
    if trace is None:
        return None
    if not path.is_file():
        return trace, False
    try:
        due_ns = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: {error}; expected what `sut sweep` wrote.") from error
    samples = int(trace.queries["samples"].sum())
    is_list = due_ns.ndim == 1 and due_ns.dtype == np.int64 and due_ns.size
    if not is_list or not trace.is_whole or samples % due_ns.size:
        return trace, False
    each = np.full(due_ns.size, samples // due_ns.size)
    return replace(trace, queries={"arrival_ns": due_ns, "samples": each}), True


def _run(folder: Path) -> Run:
    """Read a run; the figures of a submission's are those of its performance test."""
    result = read_result(folder)
    inner = folder / PERFORMANCE
    where = inner if (inner / SUMMARY_FILE).is_file() else folder
    config = _object(where / CONFIG_FILE)
    return Run(
        folder=where,
        result=result,
        config=config,
        environment=_object(where / ENVIRONMENT_FILE),
        started=started(where / DETAIL_FILE),
    )


def _object(path: Path) -> dict[str, object]:
    """Return the content of a YAML or JSON file; empty without one."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{path}: {why}; expected what `sut run` wrote.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: no names and values; expected what `sut run` wrote.")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
