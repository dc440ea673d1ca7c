"""The charts of a run: distribution of latencies, batches, what waited, power. Only draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.report import from_trace
from sut.report.bars import counts
from sut.report.device_readings import DISTRIBUTED, readings
from sut.report.device_readings import distributions as device_distributions
from sut.report.svg import Axes, Mark, Series, chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sut.record.trace import Trace
    from sut.report.folder import Run

    Picture = tuple[str, str]

_MS = 1e6
_POWER_POINTS = 300
_MOST_MS = 1e9  # no bound is longer
_BEFORE_S = -2.0  # idle devices before the test, as far as they are shown


def pictures(run: Run) -> list[Picture]:
    """Return (picture, caption) of each that the folder has figures for.

    Raises:
        DataError: the trace cannot be read.
    """
    trace = run.trace()
    found = [] if trace is None else [distribution(trace, _marks(run))]
    if run.result.batches.histogram:
        found.append(_histogram(run))
    if trace is not None:
        found += _over_time(trace)
    found += _power(readings(run.folder, "power_w"))
    return [*found, *_devices(run)]


def distribution(trace: Trace, marks: Iterable[Mark] = ()) -> Picture:
    """Return the distribution of the latencies in a trace."""
    values = from_trace.latencies_ns(trace)
    return distributions([("", from_trace.distribution(values))], len(values), marks)


def distributions(
    lines: list[tuple[str, from_trace.Points]],
    samples: int,
    marks: Iterable[Mark] = (),
    start: str = "IssueQuery",
) -> Picture:
    """Return distributions of latencies, each with its name.

    Args:
        lines: (name, points) of each.
        samples: of all of them.
        marks: bounds.
        start: what the latencies count from.
    """
    axes = Axes("latency, ms", "share of samples, %", "log", "nines")
    series = [Series(name, points) for name, points in lines]
    caption = (
        f"Share of the samples answered within a time from {start}, of {samples:,} samples in the "
        "trace; the upper part is stretched so that the tail is seen."
    )
    return chart("Distribution of latencies", axes, series, list(marks)), caption


def _marks(run: Run) -> list[Mark]:
    """Return the bound of a scenario that has one."""
    tail, loadgen = run.result.tail, run.config.get("loadgen")
    setting = loadgen.get("target_latency") if isinstance(loadgen, dict) else None
    limit_ms = setting.get("value") if isinstance(setting, dict) else None
    if tail is None or not isinstance(limit_ms, int | float) or not 0 < limit_ms < _MOST_MS:
        return []
    return [
        Mark("x", float(limit_ms), f"bound {limit_ms:g} ms"),
        Mark("y", tail.percentile, f"p{100 * tail.percentile:g}", is_limit=False),
    ]


def _histogram(run: Run) -> Picture:
    sizes = sorted(run.result.batches.histogram.items())
    picture = counts("Batches by size", Axes("batch, samples", "batches"), sizes)
    return picture, f"Mean {run.result.batches.mean_size:,.2f} samples."


def _over_time(trace: Trace) -> list[Picture]:
    found = []
    waiting = from_trace.waiting(trace)
    if waiting:
        axes = Axes("time, s", "samples waiting", y_from_zero=True, x_from_zero=True)
        picture = chart("Samples waiting for a batch", axes, [Series("", waiting)])
        found.append(
            (picture, "The most that waited at once in each of 120 equal parts of the test.")
        )
    sizes, rates = from_trace.batch_sizes(trace), from_trace.rates(trace)
    if sizes:
        second = "samples/s" if rates else ""
        axes = Axes("time, s", "mean batch, samples", y_from_zero=True, x_from_zero=True, y2=second)
        lines = [
            Series("mean batch, left", sizes),
            Series("samples/s completed, right", rates, dashed=True, second=True),
        ]
        found.append((chart("Batches and throughput over time", axes, lines), ""))
    return found


def _devices(run: Run) -> list[Picture]:
    """Return the distribution of what each device reported of its use; of nothing, no chart."""
    found = []
    for column, title in DISTRIBUTED.items():
        lines = {
            f"device {device}": [value for at_s, value in values if at_s >= 0]
            for device, values in sorted(readings(run.folder, column).items())
        }
        if any(lines.values()):
            found.append(device_distributions(title, lines))
    return found


def _power(powers: Mapping[str, Sequence[tuple[float, float]]]) -> list[Picture]:
    """Return the power of each device over time; nothing where none was read."""
    lines = []
    for device in sorted(powers):
        places = [place for place in powers[device] if place[0] >= _BEFORE_S]
        step = max(1, -(-len(places) // _POWER_POINTS))
        lines.append(Series(f"device {device}", places[::step]))
    if not any(line.points for line in lines):
        return []
    axes = Axes("time since the first query, s", "power, W", y_from_zero=True)
    return [(chart("Power over time", axes, lines), "As the device reports it.")]
