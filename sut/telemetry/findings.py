"""Findings about the devices of a test: one line each, with the remedy.

Knows facts, figures and processes; asks no device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.telemetry.reasons import THROTTLING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sut.record.device_telemetry import Figures
    from sut.telemetry.meter import Facts, Process

GIB = 1 << 30
# A device this close to its slowdown temperature soon slows down.
HOT_MARGIN_C = 5
# For a device that does not report it; NVIDIA's data centre GPUs slow down at 85 to 90 C.
HOT_C = 85


def findings(facts: Facts, figures: Figures | None, strangers: Sequence[Process]) -> list[str]:
    """Return the lines for one device; `figures` is None without a complete test."""
    found = [*shared(facts, strangers), *without_ecc(facts)]
    if figures is not None:
        found += [*_throttled(facts, figures), *_hot(facts, figures), *_narrow(facts, figures)]
    return found


def shared(facts: Facts, strangers: Sequence[Process]) -> Iterator[str]:
    """Report other processes on the device."""
    if strangers:
        named = ", ".join(_named(process) for process in strangers)
        yield f"Device {facts.device} was shared with {named}. Stop that and run again."


def without_ecc(facts: Facts) -> Iterator[str]:
    """Report memory without error correction."""
    if facts.ecc is False:
        yield (
            f"Device {facts.device}: ECC is off; a datacenter submission requires it, and it costs "
            "speed. Turn it on with nvidia-smi -e 1 and a reboot."
        )


def _throttled(facts: Facts, figures: Figures) -> Iterator[str]:
    clock = figures.sm_clock_mhz
    ran = f"; SM clock {clock.min:.0f} to {clock.max:.0f} MHz" if clock else ""
    limit = f" (limit {facts.power_limit_w:.0f} W)" if facts.power_limit_w else ""
    for reason in THROTTLING:
        share = (figures.throttled or {}).get(reason.name)
        if share:
            what = reason.name + (limit if reason.name == "SwPowerCap" else "")
            yield (
                f"Device {facts.device} was throttled by {what} for {share:.0%} of the test{ran}. "
                f"{reason.remedy}"
            )


def _hot(facts: Facts, figures: Figures) -> Iterator[str]:
    if figures.temperature_c is None:
        return
    most, slow = figures.temperature_c.max, facts.slowdown_c
    if most >= (HOT_C if slow is None else slow - HOT_MARGIN_C):
        slows = "" if slow is None else f"; it slows down at {slow} C"
        yield f"Device {facts.device} reached {most:.0f} C{slows}. Improve the cooling."


def _narrow(facts: Facts, figures: Figures) -> Iterator[str]:
    """Judge the best link of the test, because a GPU without load lowers its link to save power."""
    link, width, generation = facts.link, figures.link_width, figures.link_generation
    narrow = bool(width and link.max_width and width < link.max_width)
    slow = bool(generation and link.max_generation and generation < link.max_generation)
    if narrow or slow:
        yield (
            f"Device {facts.device}: its PCIe link ran at generation {generation} x{width} under "
            f"load; it supports generation {link.max_generation} x{link.max_width}. Reseat the "
            "card, use another slot, or check the settings of the slot."
        )


def _named(process: Process) -> str:
    memory = process.memory_bytes
    size = f", {memory / GIB:.1f} GiB" if memory else ""
    return f"process {process.pid} ({process.name}{size})"
