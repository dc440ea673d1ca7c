"""What `sut compare` can read: runs, several scenarios, tunings and tables; each as a table.

A run becomes a row. Knows keys, no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError
from sut.record import windows
from sut.record.result import PERCENTILES
from sut.record.run_folder import SUMMARY_FILE, read_result
from sut.record.table import PARTS, TABLE_FILE, Row, Table
from sut.report import folder as folders
from sut.report.compare_environment import environment_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sut.record.result import Result
    from sut.report.folder import Run, Tuning

RATE = "samples_per_s"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one side.

    Attributes:
        where: its path.
        table: what was measured.
        folders: of the run behind each row; None where there is none.
    """

    where: str
    table: Table
    folders: tuple[Path | None, ...]

    def windows(self, row: Row, metric: str) -> tuple[float, ...]:
        """Return a figure of a row in equal parts of its measurement; empty: unknown.

        Raises:
            DataError: its trace cannot be read.
        """
        if metric == RATE and row.windows:
            return row.windows
        measure = _measure(metric)
        place = self.folders[self.table.rows.index(row)]
        if place is None or (metric != RATE and measure is None):
            return ()
        result = read_result(place) if (place / SUMMARY_FILE).is_file() else None
        if (trace := folders.trace_of(place, result)) is None:
            return ()
        if measure is None:
            return windows.rates_of(trace)
        part, of_times = measure
        return tuple(map(of_times, windows.times_of(trace, part)))


def read_side(text: str) -> list[Measured]:
    """Return the measurements that an argument names: PATH, or PATH,PATH,... for repeats.

    Raises:
        ConfigError: nothing that can be compared is there.
        DataError: a file cannot be read.
    """
    names = [text] if Path(text).exists() else [name for name in text.split(",") if name]
    if not names:
        raise ConfigError(f'"{text}" names no folder; expected PATH, or PATH,PATH,... for repeats.')
    return [measured for name in names for measured in _read(Path(name))]


def _read(path: Path) -> Iterator[Measured]:
    """Yield what lies at a path: one measurement, or the confirmed runs of a tuning."""
    place = path.parent if path.name == TABLE_FILE and path.is_file() else path
    found = folders.read(place)
    if isinstance(found, folders.Sweep):
        behind = (None if row.folder is None else place / row.folder for row in found.table.rows)
        yield Measured(str(path), found.table, tuple(behind))
    elif isinstance(found, folders.Tuning):
        for run in _confirmed(found):
            yield _measured(path, [run])
    elif isinstance(found, folders.Run):
        yield _measured(path, [found])
    elif isinstance(found, folders.Runs):
        yield _measured(path, found.runs)
    else:
        raise ConfigError(
            f"{path}: no {SUMMARY_FILE} and no {TABLE_FILE} in it; expected the folder of a run, a "
            "sweep, a tuning or an import that ended."
        )


def _confirmed(tuning: Tuning) -> list[Run]:
    """Return the runs that confirmed the answer of a tuning."""
    answer = tuning.story.answer
    confirmed = () if answer is None else answer.confirmed
    runs = [tuning.folder / run.folder for run in confirmed if run.folder]
    found = [run for place in runs if isinstance(run := folders.read(place), folders.Run)]
    if not found:
        raise ConfigError(f"{tuning.folder}: a tuning without a confirmed run; it did not finish.")
    return found


def _measured(where: Path, runs: Sequence[Run]) -> Measured:
    """Return runs of one benchmark, one for each scenario, as one measurement.

    Raises:
        ConfigError: they are accuracy tests, or two have one scenario.
    """
    kept = [run for run in runs if run.result.mode != "accuracy"]
    if not kept:
        raise ConfigError(f"{where}: an accuracy test has no figures of speed to compare.")
    if len({run.result.scenario for run in kept}) < len(kept):
        raise ConfigError(
            f"{where}: several runs of one scenario; expected one. Name repeats one by one: "
            "sut compare A1,A2,A3 B1,B2,B3."
        )
    first = kept[0]
    result = first.result
    table = Table(
        title=f"{result.benchmark} on {result.system}",
        source="sut run",
        load="loadgen",
        configuration={
            "Benchmark": result.benchmark,
            "System": result.system,
            "Backend": result.backend,
            **settings_of({run.result.scenario: run.config for run in kept}),
        },
        identity=_identity(first.config),
        environment=environment_of(first),
        command=result.command,
        started=first.started,
        rows=tuple(_row(run.result) for run in kept),
    )
    return Measured(str(where), table, tuple(run.folder for run in kept))


def _identity(config: dict[str, object]) -> dict[str, str]:
    """Return the hashes of the model and of the samples; a simulated device has neither."""
    found = {}
    for name, key in (("model", "sha256"), ("data", "digest")):
        section = config.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            found[name] = section[key]
    return found


def _row(result: Result) -> Row:
    metric = result.metric
    rate = metric.value if metric is not None and metric.unit == "samples/s" else result.rate
    figures = {RATE: rate, "mean_batch": result.batches.mean_size}
    figures |= {"samples": float(result.samples), "duration_s": result.duration_s}
    if result.latency_ns is not None:
        figures |= {f"latency_{k}_ns": ns for k, ns in result.latency_ns.by_name().items()}
    if result.parts_ns is not None:
        for part in PARTS:
            if (of_part := getattr(result.parts_ns, part, None)) is not None:
                figures[f"{part}_ns"] = of_part.mean
                figures |= {f"{part}_p50_ns": of_part.p50, f"{part}_p99_ns": of_part.p99}
    if result.client_parts is not None:
        figures |= {f"client_{name}_ns": ns for name, ns in result.client_parts.parts()}
    if (power := result.device_telemetry) is not None:
        asked = {"power_w": power.average_power_w, "energy_j_per_sample": power.energy_per_sample_j}
        figures |= {name: value for name, value in asked.items() if value is not None}
    if result.accuracy is not None:
        figures["accuracy"] = result.accuracy.value
    marks = (f"ended early: {result.interrupted}",) if result.interrupted else ("INVALID",)
    return Row(
        point={"scenario": result.scenario},
        figures=figures,
        marks=() if result.valid else marks,
        simulated=result.simulated,
    )


def _measure(metric: str) -> tuple[str, Callable[[NDArray[np.float64]], float]] | None:
    """Return which time of a sample a figure is about, and what of it; None: no such time."""
    part, _, rest = metric.partition("_")
    name = "total" if part == "latency" else part
    if name not in (*PARTS, "total") or name == "issue":
        return None
    quantity = rest.removesuffix("_ns") if rest != "ns" else "mean"
    if quantity == "mean":
        return name, lambda times: float(times.mean())
    share = PERCENTILES.get(quantity)
    return None if share is None else (name, lambda times: float(np.quantile(times, share)))
