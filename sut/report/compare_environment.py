"""Machine and settings of a run, by name, and in what two measurements differ. Only words."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from sut.report.environment import flat, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sut.record.table import Table
    from sut.report.folder import Run

_DEVICES_FILE = "devices.json"
# What differs between any two runs and says nothing about speed.
_HIDDEN = {"load_average_1min", "executable"}
# The option of a command that never changes what is measured.
_OUT = "--out"
# What devices.json says about a device that may change its speed.
_DEVICE_KEYS = (
    *("name", "driver", "compute_capability", "power_limit_w", "ecc"),
    *("sm_clock", "memory_clock", "link"),
)
_CHANGING = ("current mhz",)
# NVIDIA's clocks have steps of so many MHz.
_CLOCK_STEP_MHZ = 15
_MOST_LETTERS = 60


def environment_of(run: Run) -> dict[str, str]:
    """Return the machine, its devices and versions by name, with the clocks during the test."""
    found = _named({k: v for k, v in run.environment.items() if k not in _HIDDEN})
    if isinstance(engines := run.environment.get("engines"), list):
        found["engines"] = str(len(engines))
    for device in _devices(run.folder):
        kept = {key: device.get(key) for key in _DEVICE_KEYS}
        name = f"device {device.get('device', '')}".strip()
        found |= {f"{name} {key}": text for key, text in _named(kept).items()}
    if (telemetry := run.result.device_telemetry) is not None:
        for number, figures in telemetry.devices.items():
            if figures.sm_clock_mhz is not None:
                step = round(figures.sm_clock_mhz.mean / _CLOCK_STEP_MHZ) * _CLOCK_STEP_MHZ
                found[f"device {number} clock during the test"] = f"{step} MHz"
            if figures.throttled_share:
                found[f"device {number} throttled"] = f"{figures.throttled_share:.0%} of the test"
    return found


def _devices(folder: Path) -> list[dict[str, object]]:
    """Return the facts of devices.json; none where it is missing or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads((folder / _DEVICES_FILE).read_text(encoding="utf-8"))
        devices = content.get("devices") if isinstance(content, dict) else None
        return [one for one in devices or () if isinstance(one, dict)]
    return []


def settings_of(configs: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Return the settings in force by name, of several scenarios with the scenario before it."""
    found = {}
    for scenario, config in configs.items():
        for section in ("harness", "loadgen"):
            values = config.get(section)
            for key, setting in values.items() if isinstance(values, dict) else ():
                value = setting.get("value") if isinstance(setting, dict) else setting
                name = key if len(configs) == 1 else f"{scenario} {key}"
                if value not in ({}, "", [], None):
                    found[name] = text_of(value)
    return found


# A name, and its values on both sides.
Difference = tuple[str, str, str]


def differences(a: Sequence[Mapping[str, str]], b: Sequence[Mapping[str, str]]) -> list[Difference]:
    """Return what differs, in A's order. A name that only one side has counts where both know any.

    Args:
        a: names and values of each measurement of A.
        b: the same of B.
    """
    if not any(a) or not any(b):
        return []
    names = dict.fromkeys(name for side in (*a, *b) for name in side if name not in _HIDDEN)
    pairs = ((name, _values(a, name), _values(b, name)) for name in names)
    return [(name, before, after) for name, before, after in pairs if before != after]


def commands(a: Sequence[Table], b: Sequence[Table]) -> list[Difference]:
    """Return the words that only one side's commands have; a run has its settings instead."""
    if any(table.source == "sut run" or not table.command for table in (*a, *b)):
        return []
    first, second = ([w for t in side for w in _words(t.command)] for side in (a, b))
    only_a = dict.fromkeys(word for word in first if word not in second)
    only_b = dict.fromkeys(word for word in second if word not in first)
    if not only_a and not only_b:
        return []
    return [("words of the command", " ".join(only_a) or "-", " ".join(only_b) or "-")]


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed
        words = command.split()
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if _OUT not in {word, before} and not word.startswith(f"{_OUT}=")
    ]


def _values(side: Sequence[Mapping[str, str]], name: str) -> str:
    """Return the values of a name, the same one once; "-" for none."""
    values = dict.fromkeys(one.get(name, "-") for one in side)
    return " | ".join(v if len(v) <= _MOST_LETTERS else f"{v[:_MOST_LETTERS]}..." for v in values)


def _named(values: Mapping[str, object]) -> dict[str, str]:
    return {name: text for name, text, _ in flat(values) if not name.endswith(_CHANGING)}
