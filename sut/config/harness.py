"""The settings of the harness, put together from what every layer says, and checked.

A layer is a source of settings: the command line, tuned.yaml, system.yaml, the benchmark. For each
setting the strongest layer that has a value decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from backends.base import BACKENDS
from data.harness_defaults import HarnessDefaults
from sut.base.environment import cores
from sut.base.errors import ConfigError, nearest
from sut.base.process import parse_affinity, parse_cpus
from sut.config.settings import CPU, WORKER_KINDS, HarnessSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.harness_defaults import QueueDelay
    from sut.config.cluster import Remote

    # Source and values by name, the strongest layer first.
    Layers = Sequence[tuple[str, Mapping[str, object]]]

T = TypeVar("T")
Name = TypeVar("Name", bound=str)

# What a layer may set beside the devices themselves.
HARNESS = HarnessDefaults.__struct_fields__
MACHINE = ("backend", "devices", "affinity")
DEFAULTS: Mapping[str, object] = {
    "backend": "onnxruntime",
    "workers": None,  # the scenario's
    "devices": ("cpu",),
    "affinity": "",
    "instances": 1,
    "max_batch_size": 8,
    "device_max_batch_size": {},
    "max_queue_delay_us": "late",
    "slots": 1,
    "postprocess_threads": "auto",
}
AUTO = "auto"
# What warm-up may choose at most: GPUs gain little beyond, and every size is compiled.
MOST_BATCH = 256
_AT_LEAST = {"instances": 1, "max_batch_size": 1, "slots": 1}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from."""

    value: object
    source: str


def given(source: object, names: Sequence[str]) -> dict[str, object]:
    """Return the values that a structure has for some names; None means that it has none."""
    return {
        name: getattr(source, name) for name in names if getattr(source, name, None) is not None
    }


def first(layers: Layers, name: str) -> Setting:
    """Return the value of the strongest layer that has one; the last layer has them all."""
    return next(
        Setting(values[name], source) for source, values in layers if values.get(name) is not None
    )


def settings_of(layers: Layers) -> dict[str, Setting]:
    """Return every setting with its source."""
    settings = {name: first(layers, name) for name in DEFAULTS}
    settings["instances"] = _instances(settings, _affinity(settings))
    settings["backend_options"] = _merged(layers, "backend_options")
    return settings


def harness_of(
    settings: Mapping[str, Setting], most: int = MOST_BATCH, remote: Remote | None = None
) -> HarnessSettings:
    """Return the settings as the run uses them.

    Args:
        settings: every setting with its source.
        most: the largest batch, in samples, that warm-up may choose where `max_batch_size` is auto.
        remote: where the workers are, if they are on other machines.

    Raises:
        ConfigError: a value is wrong, or two do not fit; names their sources.
    """
    chooses_batch = settings["max_batch_size"].value == AUTO
    if chooses_batch:
        settings = {**settings, "max_batch_size": Setting(most, "warm-up")}
    for name, least in _AT_LEAST.items():
        setting = settings[name]
        if not isinstance(setting.value, int) or setting.value < least:
            raise ConfigError(
                f"{name} is {setting.value} ({setting.source}); expected an integer of at least "
                f"{least}."
            )
    harness = HarnessSettings(
        backend=_one_of(sorted(BACKENDS), settings, "backend"),
        workers="remote" if remote is not None else _one_of(WORKER_KINDS, settings, "workers"),
        devices=_as(tuple[str, ...], settings, "devices"),
        instances=_as(int, settings, "instances"),
        max_batch_size=_as(int, settings, "max_batch_size"),
        max_queue_delay_us=_queue_delay(settings["max_queue_delay_us"]),
        slots=_as(int, settings, "slots"),
        affinity=_affinity(settings),
        backend_options=_as(dict[str, str | int | float | bool], settings, "backend_options"),
        device_max_batch_size=_as(dict[str, int], settings, "device_max_batch_size"),
        chooses_batch=chooses_batch,
        postprocess_threads=_threads(settings["postprocess_threads"]),
        remote=remote,
    )
    _check_devices(harness, settings)
    return harness


def _one_of(known: Sequence[Name], settings: Mapping[str, Setting], name: str) -> Name:
    """Return the value of a setting that must be one of the known names."""
    setting = settings[name]
    found = next((each for each in known if each == setting.value), None)
    if found is None:
        raise ConfigError(
            f'{name} is "{setting.value}" ({setting.source}); expected one of '
            f"{', '.join(known)}.{nearest(str(setting.value), known)}"
        )
    return found


def _as(kind: type[T], settings: Mapping[str, Setting], name: str) -> T:
    """Return the value of a setting, of a type that the files and the command line promise."""
    setting = settings[name]
    try:
        return msgspec.convert(setting.value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name} is {setting.value} ({setting.source}): {error}.") from error


def _queue_delay(setting: Setting) -> QueueDelay:
    value = setting.value
    if value == "late":
        return "late"
    if isinstance(value, int) and value >= 0:
        return value
    raise ConfigError(
        f"max_queue_delay_us is {value} ({setting.source}); expected microseconds from 0, or late."
    )


def _threads(setting: Setting) -> int | None:
    value = setting.value
    if value == AUTO:
        return None
    if isinstance(value, int) and value >= 1:
        return value
    raise ConfigError(
        f"postprocess_threads is {value} ({setting.source}); expected threads from 1, or auto."
    )


def _check_devices(harness: HarnessSettings, settings: Mapping[str, Setting]) -> None:
    devices, source = harness.devices, settings["devices"].source
    if not all(devices) or len(set(devices)) < len(devices):
        raise ConfigError(
            f'devices is "{",".join(devices)}" ({source}); expected one or more, each once. Use '
            "--instances for several engines on a device."
        )
    if harness.workers == "inline" and len(devices) * harness.instances > 1:
        raise ConfigError(
            "workers is inline, which runs one engine on LoadGen's thread, but "
            f"{len(devices)} device(s) with {harness.instances} instance(s) are asked for. "
            "Use --workers thread."
        )
    caps = settings["device_max_batch_size"].source
    for device, cap in harness.device_max_batch_size.items():
        if device not in devices:
            raise ConfigError(
                f'device_max_batch_size names device "{device}" ({caps}); expected one of '
                f"{', '.join(devices)} ({source}).{nearest(device, devices)}"
            )
        if cap < 1:
            raise ConfigError(
                f"device_max_batch_size of device {device} is {cap} ({caps}); expected at least 1."
            )


def _affinity(settings: Mapping[str, Setting]) -> dict[str, str]:
    """Return the cores of each device, all of which this process may use."""
    found = parse_affinity(_as(str, settings, "affinity"))
    allowed = os.sched_getaffinity(0)
    for device in _as(tuple[str, ...], settings, "devices"):
        outside = parse_cpus(found.get(device, "")) - allowed if device in found else set()
        if outside:
            raise ConfigError(
                f"affinity of device {device} names cores {_listed(outside)} "
                f"({settings['affinity'].source}); this process may use {_listed(allowed)}. Name "
                "some of those, or start it without taskset and with more cores in its container."
            )
    return found


def _listed(cpus: set[int]) -> str:
    return ",".join(map(str, sorted(cpus)))


def _instances(settings: Mapping[str, Setting], affinity: Mapping[str, str]) -> Setting:
    """Turn "cores" into a number: one engine a core on the CPU, one on any other device."""
    found = settings["instances"]
    if found.value != "cores":
        return found
    if settings["workers"].value == "inline":
        return Setting(1, "inline workers run one engine")
    if settings["workers"].value == "remote":
        return Setting(1, f"{found.source}: one, because a node's cores are not known here")
    on_cpu = settings["devices"].value == (CPU,)
    usable = len(parse_cpus(affinity[CPU])) if CPU in affinity else cores()
    return Setting(usable if on_cpu else 1, f"{found.source}: one per CPU core")


def _merged(layers: Layers, name: str) -> Setting:
    """Options are merged key by key; the source names every layer that gave one."""
    merged: dict[str, object] = {}
    sources = []
    for source, values in reversed(layers):
        options = values.get(name)
        if isinstance(options, dict) and options:
            merged.update(options)
            sources.append(source)
    return Setting(merged, ", ".join(reversed(sources)) or "default")
