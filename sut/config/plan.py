"""Resolves the settings of a run: command line > system file > benchmark > default.

Every value keeps its source. Both are printed at the start and stored in config.yaml.
Runs nothing and opens no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from backends.base import WITHOUT_MODEL
from data.accuracy import judge_for
from data.benchmark import Benchmark, benchmark_names, load_benchmark
from data.schema import HarnessDefaults
from data.strict_yaml import StrictStruct, load_strict
from scenarios import scenario
from scenarios.base import Load
from scenarios.rounds import round_settings, rules
from sut.base.environment import ROOT, cores
from sut.base.errors import ConfigError, nearest
from sut.base.process import parse_affinity
from sut.config import user_conf
from sut.config.settings import WORKER_KINDS, HarnessSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import OptionValue

Mode = Literal["performance", "accuracy", "submission"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULT_SYSTEM = "default"
TUNED_FILE = "tuned.yaml"
SYSTEMS = ROOT / "user_confs"


class SystemFile(StrictStruct, frozen=True):
    """`user_confs/<system>/system.yaml`: the machine and what the tuner found for it."""

    description: str
    backend: str | None = None
    devices: tuple[str, ...] | None = None
    affinity: str | None = None
    harness: HarnessDefaults = HarnessDefaults()
    benchmarks: Mapping[str, Mapping[str, HarnessDefaults]] = {}


class Tuned(StrictStruct, frozen=True):
    """What the tuner found for one benchmark and scenario, and where its proof is, in words."""

    harness: HarnessDefaults
    found: str = ""


class TunedFile(StrictStruct, frozen=True):
    """`user_confs/<system>/tuned.yaml`: the tuner's own file; it wins over system.yaml."""

    benchmarks: Mapping[str, Mapping[str, Tuned]] = {}


@dataclass(frozen=True, slots=True)
class Arguments:
    """`sut run` as the user typed it; None and empty mean: not given."""

    benchmark: str
    scenario: str
    mode: Mode = "performance"
    system: str | None = None
    backend: str | None = None
    model: Path | None = None
    data: Path | None = None
    user_conf: Path | None = None
    strict_conf: bool = False
    round: str = "current"
    load: Load = field(default_factory=Load)
    workers: str | None = None
    devices: tuple[str, ...] | None = None
    instances: int | None = None
    max_batch_size: int | None = None
    device_max_batch_size: Mapping[str, int] | None = None
    max_queue_delay_us: int | None = None
    slots: int | None = None
    affinity: str | None = None
    backend_options: Mapping[str, OptionValue] = field(default_factory=dict)
    audit_config: Path | None = None
    loadgen_trace: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario of a run, resolved.

    Attributes:
        arguments: the command line.
        benchmark: its definition.
        scenario: as LoadGen spells it.
        system: name of the system file.
        harness: how batches are made.
        file: the user.conf in force, or None.
        settings: every value of the harness by name, with its source.
    """

    arguments: Arguments
    benchmark: Benchmark
    scenario: str
    system: str
    harness: HarnessSettings
    file: user_conf.UserConf | None
    settings: dict[str, Setting]

    def loadgen_settings(self, dataset_samples: int) -> dict[str, Setting]:
        """Return LoadGen's keys for this model and scenario: the round's, then user.conf's."""
        name, round_name = self.scenario, self.arguments.round
        # A benchmark without rules for a round keeps its own bound.
        bound_ms = (
            self.benchmark.rules(name, round_name).target_latency_ms
            or self.benchmark.rules(name).target_latency_ms
        )
        of_round = round_settings(round_name, name, bound_ms, dataset_samples)
        found = {key: Setting(value, f"round {round_name}") for key, value in of_round.items()}
        if self.file is not None:
            model = self.benchmark.loadgen_name
            for key, entry in self.file.effective(model, name).items():
                found[key] = Setting(entry.value, f"{self.file.source}:{entry.line}")
        return found

    def closed_problems(self) -> list[str]:
        """Return the lines of user.conf that a closed submission may not have."""
        if self.file is None:
            return []
        return self.file.closed_problems(self.benchmark.loadgen_name, self.scenario)


def _instances(settings: Mapping[str, Setting]) -> Setting:
    """Turn "cores" into a number: one engine a core on the CPU, one on any other device."""
    given = settings["instances"]
    if given.value != "cores":
        return given
    if settings["workers"].value == "inline":
        return Setting(1, "inline workers run one engine")
    on_cpu = settings["devices"].value == ("cpu",)
    return Setting(cores() if on_cpu else 1, f"{given.source}: one a core of the CPU")


def _check_accuracy(arguments: Arguments, benchmark: Benchmark, backend: str) -> None:
    """Refuse an accuracy run that cannot be judged, before it starts."""
    if arguments.mode == "performance" or backend in WITHOUT_MODEL:
        return
    judge_for(benchmark.accuracy, str(benchmark.file))


# Layers of (source, values by name): the first that has a value decides.
_Layers = list[tuple[str, "Mapping[str, object]"]]


def resolve(arguments: Arguments) -> Plan:
    """Resolve one scenario.

    Raises:
        ConfigError: a file or a value is wrong, with the file and line or the option.
    """
    benchmark = load_benchmark(arguments.benchmark)
    asked = scenario(arguments.scenario)
    rules(arguments.round, asked.name)
    asked.check(arguments.load)
    system = arguments.system or DEFAULT_SYSTEM
    folder = system_folder(system)
    layers = _layers(arguments, benchmark, asked.name, folder, asked.default_workers)
    settings = {name: _first(layers, name) for name in _DEFAULTS}
    settings["instances"] = _instances(settings)
    settings["backend_options"] = _merged(layers, "backend_options")
    _check_accuracy(arguments, benchmark, str(settings["backend"].value))
    return Plan(
        arguments=arguments,
        benchmark=benchmark,
        scenario=asked.name,
        system=system,
        harness=_harness(settings),
        file=_user_conf(arguments, benchmark, folder),
        settings=settings,
    )


_DEFAULTS: dict[str, object] = {
    "backend": "onnxruntime",
    "workers": None,  # the scenario's
    "devices": ("cpu",),
    "affinity": "",
    "instances": 1,
    "max_batch_size": 8,
    "device_max_batch_size": {},
    "max_queue_delay_us": 0,
    "slots": 1,
}


def system_names() -> list[str]:
    """Return the systems in user_confs/."""
    return sorted(path.parent.name for path in SYSTEMS.glob("*/system.yaml"))


def system_folder(name: str) -> Path:
    """Return the folder of a system: a name in user_confs/, or a path to a folder.

    Raises:
        ConfigError: there is none.
    """
    for folder in (SYSTEMS / name, Path(name)):
        if (folder / "system.yaml").is_file():
            return folder
    known = ", ".join(system_names())
    raise ConfigError(
        f'--system: "{name}" is neither a folder with a system.yaml nor one of {known}.'
        f"{nearest(name, system_names())}"
    )


def _layers(
    arguments: Arguments, benchmark: Benchmark, name: str, folder: Path, workers: str
) -> _Layers:
    path = folder / "system.yaml"
    file = load_strict(path, SystemFile)
    specific = _scenario_section(file, path, benchmark.name, name)
    shown = f"{folder.name}/system.yaml"
    # Options belong to a backend: those for another one than the user chose are left out.
    backend = arguments.backend or file.backend or _DEFAULTS["backend"]
    of_system = _HARNESS if file.backend in {None, backend} else _WITHOUT_OPTIONS
    # A benchmark's defaults are for the default backend altogether.
    of_benchmark = _HARNESS if backend == _DEFAULTS["backend"] else ()
    defaults = benchmark.harness_defaults(name)
    return [
        ("command line", _given(arguments, _ARGUMENTS)),
        (f"{folder.name}/{TUNED_FILE}", _given(_tuned(folder, benchmark.name, name), of_system)),
        (f"{shown}, {benchmark.name}, {name}", _given(specific, of_system)),
        (f"{shown}, harness", _given(file.harness, of_system)),
        (shown, _given(file, _MACHINE)),
        (f"benchmark {benchmark.name}", _given(defaults, of_benchmark)),
        ("scenario", {"workers": workers}),
        ("default", _DEFAULTS),
    ]


_HARNESS = HarnessDefaults.__struct_fields__
_WITHOUT_OPTIONS = tuple(name for name in _HARNESS if name != "backend_options")
_MACHINE = ("backend", "devices", "affinity")
_ARGUMENTS = (*_HARNESS, *_MACHINE)


def _scenario_section(file: SystemFile, path: Path, benchmark: str, name: str) -> HarnessDefaults:
    for named, sections in file.benchmarks.items():
        for section in sections:
            if scenario(section).name != section:
                raise ConfigError(
                    f"{path}: benchmarks.{named}.{section}: LoadGen spells it "
                    f'"{scenario(section).name}".'
                )
    return file.benchmarks.get(benchmark, {}).get(name, HarnessDefaults())


def _tuned(folder: Path, benchmark: str, name: str) -> HarnessDefaults:
    path = folder / TUNED_FILE
    if not path.is_file():
        return HarnessDefaults()
    found = load_strict(path, TunedFile).benchmarks.get(benchmark, {}).get(name)
    return HarnessDefaults() if found is None else found.harness


def _given(source: object, names: Sequence[str]) -> dict[str, object]:
    return {
        name: getattr(source, name) for name in names if getattr(source, name, None) is not None
    }


def _first(layers: _Layers, name: str) -> Setting:
    return next(
        Setting(values[name], source) for source, values in layers if values.get(name) is not None
    )


def _merged(layers: _Layers, name: str) -> Setting:
    """Options are merged key by key; the source names every layer that gave one."""
    merged: dict[str, object] = {}
    sources = []
    for source, values in reversed(layers):
        given = values.get(name)
        if isinstance(given, dict) and given:
            merged.update(given)
            sources.append(source)
    return Setting(merged, ", ".join(reversed(sources)) or "default")


def _harness(settings: Mapping[str, Setting]) -> HarnessSettings:
    for name, least in (
        ("instances", 1),
        ("max_batch_size", 1),
        ("max_queue_delay_us", 0),
        ("slots", 1),
    ):
        setting = settings[name]
        if not isinstance(setting.value, int) or setting.value < least:
            raise ConfigError(
                f"{name} is {setting.value} ({setting.source}); expected an integer of at least "
                f"{least}."
            )
    workers = str(settings["workers"].value)
    if workers not in WORKER_KINDS:
        raise ConfigError(
            f'workers is "{workers}" ({settings["workers"].source}); expected one of '
            f"{', '.join(WORKER_KINDS)}.{nearest(workers, WORKER_KINDS)}"
        )
    harness = HarnessSettings(
        backend=str(settings["backend"].value),
        workers=workers,
        devices=tuple(str(d) for d in settings["devices"].value),  # type: ignore[attr-defined]  # a sequence in every layer
        instances=int(settings["instances"].value),  # type: ignore[call-overload]  # checked above
        max_batch_size=int(settings["max_batch_size"].value),  # type: ignore[call-overload]  # checked above
        max_queue_delay_us=int(settings["max_queue_delay_us"].value),  # type: ignore[call-overload]  # checked above
        slots=int(settings["slots"].value),  # type: ignore[call-overload]  # checked above
        affinity=parse_affinity(str(settings["affinity"].value)),
        backend_options=dict(settings["backend_options"].value),  # type: ignore[call-overload]  # made by _merged
        device_max_batch_size=_device_caps(settings["device_max_batch_size"], settings["devices"]),
    )
    devices = harness.devices
    if not all(devices) or len(set(devices)) < len(devices):
        raise ConfigError(
            f'devices is "{",".join(devices)}" ({settings["devices"].source}); expected one or '
            "more, each once. Use --instances for several engines on a device."
        )
    if harness.workers == "inline" and len(harness.devices) * harness.instances > 1:
        raise ConfigError(
            "workers is inline, which runs one engine on LoadGen's thread, but "
            f"{len(harness.devices)} device(s) with {harness.instances} instance(s) are asked for. "
            "Use --workers thread."
        )
    return harness


def _device_caps(caps: Setting, devices: Setting) -> dict[str, int]:
    found: dict[str, int] = dict(caps.value)  # type: ignore[call-overload]  # a mapping in every layer
    named = [str(device) for device in devices.value]  # type: ignore[attr-defined]  # a sequence in every layer
    for device, cap in found.items():
        if device not in named:
            raise ConfigError(
                f'device_max_batch_size names device "{device}" ({caps.source}); expected one of '
                f"{', '.join(named)} ({devices.source}).{nearest(device, named)}"
            )
        if cap < 1:
            raise ConfigError(
                f"device_max_batch_size of device {device} is {cap} ({caps.source}); expected at "
                "least 1."
            )
    return found


def _user_conf(
    arguments: Arguments, benchmark: Benchmark, folder: Path
) -> user_conf.UserConf | None:
    path = arguments.user_conf or folder / "user.conf"
    if arguments.user_conf is None and not path.is_file():
        return None
    models = [benchmark.loadgen_name, *benchmark_names()]
    return user_conf.load(path, models, strict=arguments.strict_conf)
