"""What the user reads: the settings at the start, the table at the end, and the reasons.

Formats text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEADER = ("scenario", "metric", "value", "result", "p50 ms", "p90 ms", "p99 ms", "accuracy")
_LEFT = {0, 1, 3, 7}

# LoadGen's field, as a person calls it.
_METRICS = {
    "early_stopping_latency_ss": "p90 latency",
    "early_stopping_latency_ms": "p99 query latency",
    "result_completed_samples_per_sec": "completed rate",
    "result_samples_per_second": "throughput",
}

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


def result_row(summary: Mapping[str, object]) -> tuple[str, ...]:
    """Return one row of the table from a summary.json."""
    metric = summary.get("metric")
    latency = summary.get("latency_ns")
    return (
        str(summary["scenario"]),
        _metric_name(metric),
        _metric_value(metric),
        _verdict(summary),
        *(_milliseconds(latency, name) for name in ("p50", "p90", "p99")),
        _accuracy(summary.get("accuracy")),
    )


def power_line(summary: Mapping[str, object]) -> str | None:
    """Return power and energy in one line; None where nothing measured them."""
    found = summary.get("device_telemetry")
    if not isinstance(found, dict) or found["energy_per_sample_j"] is None:
        return None
    parts = [f"{found['average_power_w']:,.1f} W on average"]
    if found["peak_power_w"] is not None:
        parts.append(f"{found['peak_power_w']:,.1f} W at most")
    parts.append(f"{found['energy_per_sample_j']:.4g} J a sample")
    if found["energy_per_sample_above_idle_j"] is not None:
        parts.append(f"{found['energy_per_sample_above_idle_j']:.4g} J of it above idle")
    return f"{', '.join(parts)} ({_METERS[found['source']]})"


def _verdict(summary: Mapping[str, object]) -> str:
    if summary.get("interrupted"):
        return "INTERRUPTED"
    if summary["mode"] == "accuracy":
        return "done"
    label = "VALID" if summary["valid"] else "INVALID"
    return f"{label} (simulated)" if summary["simulated"] else label


def _metric_name(metric: object) -> str:
    if not isinstance(metric, dict):
        return "-"
    name = str(metric["name"])
    return _METRICS.get(name, name)


def _metric_value(metric: object) -> str:
    if not isinstance(metric, dict):
        return "-"
    if metric["unit"] == "ns":
        return f"{metric['value'] / 1e6:,.3f} ms"
    return f"{metric['value']:,.2f} {metric['unit']}"


def _milliseconds(latency: object, name: str) -> str:
    if not isinstance(latency, dict) or name not in latency:
        return "-"
    return f"{latency[name] / 1e6:,.2f}"


def _accuracy(accuracy: object) -> str:
    if not isinstance(accuracy, dict):
        return "-"
    text = f"{accuracy['metric']} {accuracy['value']:.1%} of {accuracy['n']}"
    interval = accuracy.get("interval_95")
    return f"{text} (95 %: {interval[0]:.0%}-{interval[1]:.0%})" if interval else text
