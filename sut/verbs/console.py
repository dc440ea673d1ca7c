"""What the user reads: the settings at the start, the table at the end, and the reasons.

Formats text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.base import Metric
    from sut.record.device_telemetry import DeviceTelemetry
    from sut.record.result import Accuracy, Result

HEADER = ("scenario", "metric", "value", "result", "p50 ms", "p90 ms", "p99 ms", "accuracy")
_LEFT = {0, 1, 3, 7}
NS_PER_MS = 1e6

# Who measured power: of the GPUs alone, or of all that ran on the CPU.
_METERS = {"nvml": "GPUs, NVML", "rapl": "CPU packages, RAPL", "simulated": "simulated"}


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return an aligned table; text columns to the left, figures to the right."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if k in _LEFT else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def result_row(result: Result) -> tuple[str, ...]:
    """Return the row of one run."""
    latency = result.latency_ns
    percentiles = (None,) * 3 if latency is None else (latency.p50, latency.p90, latency.p99)
    return (
        result.scenario,
        *_metric(result.scenario, result.metric),
        _verdict(result),
        *("-" if ns is None else f"{ns / NS_PER_MS:,.2f}" for ns in percentiles),
        _accuracy(result.accuracy),
    )


def power_line(found: DeviceTelemetry | None) -> str | None:
    """Return power and energy in one line; None where nothing measured them."""
    if found is None or found.energy_per_sample_j is None:
        return None
    parts = [f"{found.average_power_w:,.1f} W on average"]
    if found.peak_power_w is not None:
        parts.append(f"{found.peak_power_w:,.1f} W at most")
    parts.append(f"{found.energy_per_sample_j:.4g} J a sample")
    if found.energy_per_sample_above_idle_j is not None:
        parts.append(f"{found.energy_per_sample_above_idle_j:.4g} J of it above idle")
    return f"{', '.join(parts)} ({_METERS[found.source]})"


def _verdict(result: Result) -> str:
    if result.interrupted:
        return "INTERRUPTED"
    if result.mode == "accuracy":
        return "done"
    label = "VALID" if result.valid else "INVALID"
    return f"{label} (simulated)" if result.simulated else label


def _metric(name: str, metric: Metric | None) -> tuple[str, str]:
    """Return its name, and its value with the unit."""
    if metric is None:
        return "-", "-"
    title = scenario(name).metric_title
    if metric.unit == "ns":
        return title, f"{metric.value / NS_PER_MS:,.3f} ms"
    return title, f"{metric.value:,.2f} {metric.unit}"


def _accuracy(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "-"
    text = f"{accuracy.metric} {accuracy.value:.1%} of {accuracy.n}"
    if accuracy.interval_95 is None:
        return text
    low, high = accuracy.interval_95
    return f"{text} (95 %: {low:.0%}-{high:.0%})"
