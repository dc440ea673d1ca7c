"""The power of a board, as Linux's files show it: INA sensors of a Jetson, or a meter of ACPI.

A sensor has one channel a rail. Where a rail carries the whole board, it alone is the meter, since
the others are parts of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.telemetry.meter import Facts, Process, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

SYS = Path("/sys")
# Sensors of power: Texas Instruments' INA2xx and INA3221, and ACPI's meter of a server.
_SENSORS = ("ina", "power_meter")
# The rail of the whole board, as Jetson's kernels name it (Orin and Xavier; Nano and TX2).
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "SYS_VIN_HV")
_MILLI, _MICRO = 1e-3, 1e-6


@dataclass(frozen=True, slots=True)
class Rail:
    """One channel of a sensor.

    Attributes:
        name: of the rail.
        power: (file, factor to W); None: voltage times current.
        voltage: the file, in mV.
        current: the file, in mA.
    """

    name: str
    power: tuple[Path, float] | None = None
    voltage: Path | None = None
    current: Path | None = None

    def watts(self) -> float | None:
        """Return the power now; None if it cannot be read."""
        if self.power is not None:
            return _number(*self.power)
        if self.voltage is None or self.current is None:
            return None
        volts, amperes = _number(self.voltage, _MILLI), _number(self.current, _MILLI)
        return None if volts is None or amperes is None else volts * amperes


class HwmonMeter:
    """One rail. See sut.telemetry.meter.Meter. It has no counter: energy is power over time."""

    def __init__(self, rail: Rail) -> None:
        self.device = rail.name
        self._rail = rail

    def facts(self) -> Facts:
        """See Meter."""
        return Facts(self.device, "hwmon", f"power rail {self.device}")

    def sample(self) -> Reading:
        """See Meter."""
        start_ns = time.monotonic_ns()
        watts = self._rail.watts()
        return Reading(start_ns, time.monotonic_ns() - start_ns, watts)

    def processes(self) -> tuple[Process, ...]:
        """See Meter. A board is always shared."""
        return ()


def meters(root: Path = SYS) -> list[HwmonMeter]:
    """Return the rail of the whole board, or else every rail that can be read.

    Args:
        root: where Linux shows its devices.
    """
    rails = [rail for rail in _rails(root) if rail.watts() is not None]
    whole = [rail for rail in rails if rail.name in WHOLE_BOARD]
    return [HwmonMeter(rail) for rail in whole[:1] or rails]


def _rails(root: Path) -> Iterator[Rail]:
    for folder in sorted((root / "class/hwmon").glob("hwmon*")):
        name = _text(folder / "name") or ""
        if name.startswith(_SENSORS):
            yield from _of_sensor(folder, name)
    # Kernels of Jetson before JetPack 5 show the same sensors as industrial I/O, in mW.
    for folder in sorted((root / "bus/i2c/drivers/ina3221x").glob("*/iio*")):
        for label in sorted(folder.glob("rail_name_*")):
            power = folder / f"in_power{label.name.rpartition('_')[2]}_input"
            yield Rail(_text(label) or label.name, (power, _MILLI))


def _of_sensor(folder: Path, sensor: str) -> Iterator[Rail]:
    """Yield the channels that say their power, or else those with a voltage and a current."""
    given = [
        (number, (file, _MICRO))
        for kind in ("input", "average")
        for file in sorted(folder.glob(f"power*_{kind}"))
        if (number := file.name.removeprefix("power").partition("_")[0]).isdecimal()
    ]
    for number, power in dict(reversed(given)).items():
        yield Rail(_text(folder / f"power{number}_label") or f"{sensor} {number}", power)
    for current in () if given else sorted(folder.glob("curr*_input")):
        number = current.name.removeprefix("curr").partition("_")[0]
        label = _text(folder / f"in{number}_label")
        # A channel without a name is not wired; INA3221 has more (in4 is a sum of shunts).
        if label is not None and (folder / f"in{number}_input").exists():
            yield Rail(label, voltage=folder / f"in{number}_input", current=current)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip() or None
    except OSError:
        return None


def _number(path: Path, factor: float) -> float | None:
    try:
        return int(_text(path) or "") * factor
    except ValueError:
        return None
