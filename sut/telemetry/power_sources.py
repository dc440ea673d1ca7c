"""Who tells the power of a test: one choice among the sources of this machine, with its reason.

NVML for GPUs; else RAPL, which sees the processor alone; else the board's own sensors; else jtop.
Sources are never added up: a board's sensor has the processor and the GPU in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.telemetry import hwmon, jtop, nvml, rapl
from sut.telemetry.jtop import JtopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sut.telemetry.meter import Source


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source.

    Attributes:
        source: whom the sampler would ask.
        what: it measures, in words.
        why_not: it cannot be asked here; empty: it can.
    """

    source: Source
    what: str
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The source of the power, or None.

    Attributes:
        source: the first that is there.
        words: it and its reason, or why there is none.
    """

    source: Source | None
    words: str


def candidates(
    root: Path = Path("/"), gpus: Callable[[], str] | None = None
) -> Iterator[Candidate]:
    """Yield every source, the preferred one first; each is asked when its turn comes.

    Args:
        root: where `sys` lies.
        gpus: returns why NVML tells no power of a GPU, or an empty text; None asks NVML.
    """
    yield Candidate("nvml", "each GPU", (gpus or _without_nvml)())
    powercap = root / "sys/class/powercap"
    packages = rapl.meters(powercap)
    if packages:
        why_rapl = ""
    elif list(powercap.glob("intel-rapl:*")):
        why_rapl = "its counters cannot be read; most kernels let only root"
    else:
        why_rapl = "this kernel shows no /sys/class/powercap/intel-rapl*"
    yield Candidate("rapl", f"{len(packages) or 'the'} CPU package(s)", why_rapl)
    rails = hwmon.meters(root / "sys")
    named = ", ".join(meter.device for meter in rails)
    yield Candidate(
        "hwmon",
        f"the board's sensors{f': {named}' if named else ''}",
        "" if rails else "no INA or ACPI sensor in /sys/class/hwmon",
    )
    yield Candidate("jtop", "a Jetson's board", _without_jtop())


def choose(found: Iterable[Candidate], *, on_gpus: bool) -> Choice:
    """Return whom to ask about engines on GPUs, or on the host's processor."""
    passed: list[str] = []
    for candidate in found:
        if candidate.source == "nvml" and not on_gpus:
            continue
        if not candidate.why_not:
            because = f" ({'; '.join(passed)})" if passed else ""
            words = f"power from {candidate.source}, {candidate.what}{because}"
            return Choice(candidate.source, words)
        passed.append(f"{candidate.source}: {candidate.why_not}")
    return Choice(None, f"no power: {'; '.join(passed)}")


def is_jetson(root: Path = Path("/")) -> bool:
    """Return whether this is a Jetson: its NVML, if it has one, tells no power."""
    try:
        return b"nvidia,tegra" in (root / "proc/device-tree/compatible").read_bytes()
    except OSError:
        return False


def _without_nvml() -> str:
    try:
        with nvml.open_nvml() as library:
            told = [meter.sample().power_w for meter in nvml.visible_meters(library, None)]
    except nvml.NvmlError as error:
        return str(error)
    if not told:
        return "NVML sees no GPU"
    return "" if None not in told else "a GPU does not report its power to NVML"


def _without_jtop() -> str:
    try:
        with jtop.open_jtop():
            return ""
    except JtopError as error:
        return str(error)
