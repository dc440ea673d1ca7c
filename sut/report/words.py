"""What a result says in words: verdict, metric, accuracy, power. For the console and for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import scenario, scenario_names

if TYPE_CHECKING:
    from scenarios.base import Metric
    from sut.record.device_telemetry import DeviceTelemetry
    from sut.record.result import Accuracy, Result

HEADER = ("scenario", "metric", "value", "result", "p50 ms", "p90 ms", "p99 ms", "accuracy")
NS_PER_MS = 1e6

# Who measured power: of the GPUs alone, or of all that ran on the CPU.
_METERS = {"nvml": "GPUs, NVML", "rapl": "CPU packages, RAPL", "simulated": "simulated"}


def result_row(result: Result) -> tuple[str, ...]:
    """Return the row of one run."""
    latency = result.latency_ns
    percentiles = (None,) * 3 if latency is None else (latency.p50, latency.p90, latency.p99)
    return (
        result.scenario,
        *metric_words(result.scenario, result.metric),
        verdict(result),
        *("-" if ns is None else f"{ns / NS_PER_MS:,.2f}" for ns in percentiles),
        accuracy_words(result.accuracy),
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
    return f"{', '.join(parts)} ({_METERS.get(found.source, found.source)})"


def verdict(result: Result) -> str:
    """Return LoadGen's verdict, or why there is none."""
    if result.interrupted:
        return "INTERRUPTED"
    if result.mode == "accuracy":
        return "done"
    label = "VALID" if result.valid else "INVALID"
    return f"{label} (simulated)" if result.simulated else label


def metric_words(name: str, metric: Metric | None) -> tuple[str, str]:
    """Return its name, and its value with the unit."""
    if metric is None:
        return "-", "-"
    title = scenario(name).metric_title if name in scenario_names() else metric.name
    if metric.unit == "ns":
        return title, f"{metric.value / NS_PER_MS:,.3f} ms"
    return title, f"{metric.value:,.2f} {metric.unit}"


def accuracy_words(accuracy: Accuracy | None) -> str:
    """Return how good the answers were, with its interval."""
    if accuracy is None:
        return "-"
    text = f"{accuracy.metric} {accuracy.value:.1%} of {accuracy.n}"
    if accuracy.interval_95 is None:
        return text
    low, high = accuracy.interval_95
    return f"{text} (95 %: {low:.0%}-{high:.0%})"
