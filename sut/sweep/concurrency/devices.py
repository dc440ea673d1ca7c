"""Power, energy, memory and use of the shared device during a point. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.device_telemetry import Span
from sut.sweep.concurrency.figures import busy_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.record.device_telemetry import DeviceTelemetry
    from sut.sweep.concurrency.figures import Ran

# Mean percentages of a device, as telemetry names them.
USE = (
    "utilisation_percent", "sm_percent", "sm_occupancy_percent", "tensor_percent", "dram_percent",
)  # fmt: skip


def device_figures(
    ran: Ran, samples: float, facts: Mapping[str, str], seen: DeviceTelemetry | None
) -> dict[str, float]:
    """Return the figures by name; what nobody tells is absent, never 0.

    Args:
        ran: the batches.
        samples: completed in the window.
        facts: of an engine; a simulated one says what it draws.
        seen: what the device told; None: nothing.
    """
    if facts.get("simulated") == "True":
        return _simulated(ran, samples, facts)
    if seen is None:
        return {}
    found: dict[str, float | None] = {
        "power_w": seen.average_power_w,
        "energy_j_per_sample": seen.energy_per_sample_j,
        "energy_above_idle_j_per_sample": seen.energy_per_sample_above_idle_j,
        "memory_bytes": seen.most("memory_used_bytes"),
        "throttled_share": seen.most("throttled_share"),
    }
    for name in USE:
        spans = [getattr(device, name) for device in seen.devices.values()]
        if spans and all(isinstance(span, Span) for span in spans):
            found[name] = sum(span.mean for span in spans) / len(spans)
    per_watt = found["power_w"]
    if per_watt:
        found["samples_per_j"] = samples / ran.window_s / per_watt
    return {name: float(value) for name, value in found.items() if value is not None}


def _simulated(ran: Ran, samples: float, facts: Mapping[str, str]) -> dict[str, float]:
    busy = busy_share(ran)
    if busy is None:
        return {}
    found = {"utilisation_percent": 100 * busy}
    if "power_w" in facts and samples:
        idle_w = float(facts.get("idle_w", 0.0))
        power_w = idle_w + busy * (float(facts["power_w"]) - idle_w)
        found |= {
            "power_w": power_w,
            "energy_j_per_sample": power_w * ran.window_s / samples,
            "energy_above_idle_j_per_sample": (power_w - idle_w) * ran.window_s / samples,
            "samples_per_j": samples / ran.window_s / power_w,
        }
    return found
