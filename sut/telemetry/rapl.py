"""The energy of CPU packages, as Linux shows it (RAPL, /sys/class/powercap).

A package counts everything that runs on it. Most kernels let only root read it.
"""

from __future__ import annotations

import time
from pathlib import Path

from sut.telemetry.meter import Facts, Process, Reading

POWERCAP = Path("/sys/class/powercap")
_MICRO = 1e-6


class RaplMeter:
    """One CPU package. See sut.telemetry.meter.Meter."""

    def __init__(self, zone: Path, device: str) -> None:
        self.device = device
        self._zone = zone
        # The counter starts again from 0 at this value.
        self._range_j = _joules(zone / "max_energy_range_uj") or 0.0
        self._raw_j = _joules(zone / "energy_uj")
        self._energy_j = 0.0
        self._at_ns = time.monotonic_ns()

    def facts(self) -> Facts:
        """See Meter."""
        return Facts(self.device, "rapl", f"CPU {self.device}")

    def sample(self) -> Reading:
        """See Meter. Power is the average since the last sample."""
        start_ns, raw_j = time.monotonic_ns(), _joules(self._zone / "energy_uj")
        took_ns = time.monotonic_ns() - start_ns
        if raw_j is None or self._raw_j is None:
            return Reading(start_ns, took_ns)
        used_j = raw_j - self._raw_j
        if used_j < 0:
            used_j += self._range_j
        elapsed_s = (start_ns - self._at_ns) / 1e9
        self._energy_j += used_j
        self._raw_j, self._at_ns = raw_j, start_ns
        power_w = used_j / elapsed_s if elapsed_s > 0 else None
        return Reading(start_ns, took_ns, power_w, self._energy_j)

    def processes(self) -> tuple[Process, ...]:
        """See Meter. A CPU is always shared."""
        return ()


def meters(powercap: Path = POWERCAP) -> list[RaplMeter]:
    """Return the packages that can be read; none on most virtual machines."""
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        is_package = zone.name.count(":") == 1  # deeper zones are parts of a package
        if is_package and _joules(zone / "energy_uj") is not None:
            found.append(RaplMeter(zone, (zone / "name").read_text("ascii").strip()))
    return found


def _joules(path: Path) -> float | None:
    try:
        return int(path.read_text("ascii")) * _MICRO
    except (OSError, ValueError):
        return None
