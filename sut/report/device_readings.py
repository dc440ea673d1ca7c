"""What devices reported while something ran: a column of telemetry.csv, and its distribution."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.report.svg import Axes, Series, chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Picture = tuple[str, str]
    # (s since the first query, value) of each reading, by device.
    Readings = Mapping[str, Sequence[tuple[float, float]]]

TELEMETRY_FILE = "telemetry.csv"
# Columns of which a page shows the distribution, with their titles.
DISTRIBUTED = {
    "utilisation_percent": "Time in which any kernel ran",
    "sm_percent": "Multiprocessors at work",
    "sm_occupancy_percent": "Occupancy of the multiprocessors",
    "tensor_percent": "Tensor cores at work",
    "dram_percent": "Bandwidth of the memory",
}
_POINTS = 100
_LEAST = 5  # of fewer readings a distribution shows nothing


def readings(folder: Path, column: str) -> Readings:
    """Return one column of a run's telemetry.csv; nothing where the file or the column is absent.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder / TELEMETRY_FILE
    if not path.is_file():
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                place, device = line["time_s"], line["device"]
                if (text := line.get(column)) and place:
                    found.setdefault(device, []).append((float(place), float(text)))
        if not all(math.isfinite(x) for row in found.values() for pair in row for x in pair):
            raise ValueError("a time or a reading that is no finite number")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        what = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: {what}; expected what `sut run` wrote.") from error
    return found


def distributions(title: str, lines: Mapping[str, Sequence[float]], unit: str = "%") -> Picture:
    """Return the cumulative distribution of readings, a line for each name.

    Args:
        title: of the chart.
        lines: readings by name; those with too few are left out.
        unit: of the readings.
    """
    series = [
        Series(name, cumulated(values)) for name, values in lines.items() if len(values) >= _LEAST
    ]
    axes = Axes(f"reading, {unit}", "share of the readings", x_from_zero=True, y_from_zero=True)
    caption = "How many of the readings were this value or less; each is an average of 0.1 s."
    return chart(title, axes, series), caption


def cumulated(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return (value, share of the values that are this or less), ascending, thinned out."""
    ordered = sorted(values)
    count = len(ordered)
    shares = sorted({max(1, round(k * count / _POINTS)) for k in range(_POINTS + 1)})
    return [(ordered[place - 1], place / count) for place in shares]
