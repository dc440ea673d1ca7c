"""Resolves a run: command line > tuned > system file > benchmark > default.

Every value keeps its source. Both are printed at the start and stored in config.yaml.
Runs nothing and opens no engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backends.base import PREPARES_SIZES, WITHOUT_MODEL
from data.benchmark import benchmark_names
from data.tasks import judge_of
from data.variant import load_variant
from scenarios import scenario
from scenarios.rounds import round_settings, rules
from sut.base.errors import ConfigError
from sut.config import user_conf
from sut.config.cluster import own_name, read_cluster, remote_of
from sut.config.harness import (
    AUTO,
    DEFAULTS,
    HARNESS,
    MACHINE,
    MOST_BATCH,
    Setting,
    first,
    given,
    harness_of,
    settings_of,
)
from sut.config.system import DEFAULT_SYSTEM, SYSTEM_FILE, read_system, system_folder
from sut.config.tuned import Runs, tuned_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from data.benchmark import Benchmark
    from scenarios.base import Scenario
    from sut.config.arguments import Arguments
    from sut.config.cluster import Cluster
    from sut.config.harness import Layers
    from sut.config.settings import HarnessSettings
    from sut.config.tuned import Found

RATE = "target_qps"
# The largest samples of a batch that warm-up tries: activations take many times as much.
_MOST_BATCH_BYTES = 256 << 20
_WITHOUT_OPTIONS = tuple(name for name in HARNESS if name != "backend_options")


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
        tuned: what the system's tuned.yaml says to this run.
        load_sources: the source of each option of `arguments.load` that is not from the command
            line.
    """

    arguments: Arguments
    benchmark: Benchmark
    scenario: str
    system: str
    harness: HarnessSettings
    file: user_conf.UserConf | None
    settings: dict[str, Setting]
    tuned: Found
    load_sources: Mapping[str, str] = field(default_factory=dict)

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
        return found | self.user_conf_settings()

    def user_conf_settings(self) -> dict[str, Setting]:
        """Return what the user.conf in force says to this run.

        A rate in the system's user.conf that was tuned for other devices is left out, or replaced
        by the one that was tuned for these.
        """
        found = self._of_file()
        if self._rate_of_others() is not None:
            del found[RATE]
            if self.tuned.target_qps is not None:
                found[RATE] = Setting(self.tuned.target_qps, self.tuned.source)
        return found

    def closed_problems(self) -> list[str]:
        """Return the lines of user.conf that a closed submission may not have."""
        if self.file is None:
            return []
        return self.file.closed_problems(self.benchmark.loadgen_name, self.scenario)

    def notes(self) -> list[str]:
        """Return what was tuned and is not applied, a line each."""
        rate = self._rate_of_others()
        if rate is None or self.tuned.target_qps is not None:
            return list(self.tuned.notes)
        line = f"{rate.source}: not applied: {RATE} = {rate.value} was tuned for other devices."
        return [*self.tuned.notes, line]

    def _of_file(self) -> dict[str, Setting]:
        if self.file is None:
            return {}
        entries = self.file.effective(self.benchmark.loadgen_name, self.scenario)
        return {
            key: Setting(entry.value, f"{self.file.source}:{entry.line}")
            for key, entry in entries.items()
        }

    def _rate_of_others(self) -> Setting | None:
        """Return the rate of the system's user.conf if it was tuned for other devices."""
        rate = self._of_file().get(RATE)
        if rate is None or self.arguments.user_conf is not None:
            return None
        return rate if self.tuned.is_of_others(float(str(rate.value))) else None


def resolve(arguments: Arguments) -> Plan:
    """Resolve one scenario.

    Raises:
        ConfigError: a file or a value is wrong, with the file and line or the option.
    """
    benchmark = load_variant(
        arguments.benchmark,
        resolution=arguments.resolution,
        pixels=arguments.pixels,
        model=arguments.model,
    )
    asked = scenario(arguments.scenario)
    rules(arguments.round, asked.name)
    asked.check(arguments.load)
    system = arguments.system or DEFAULT_SYSTEM
    folder = system_folder(system)
    cluster = None if arguments.cluster is None else read_cluster(arguments.cluster)
    layers, tuned = _layers(arguments, benchmark, asked, folder, cluster)
    settings = settings_of(layers)
    remote = None if cluster is None else remote_of(cluster, arguments, benchmark)
    harness = harness_of(settings, _most_batch(benchmark), remote)
    _check_accuracy(arguments, benchmark, harness.backend)
    return Plan(
        arguments=arguments,
        benchmark=benchmark,
        scenario=asked.name,
        system=system,
        harness=harness,
        file=_user_conf(arguments, benchmark, folder),
        settings=settings,
        tuned=tuned,
    )


def _layers(
    arguments: Arguments,
    benchmark: Benchmark,
    asked: Scenario,
    folder: Path,
    cluster: Cluster | None,
) -> tuple[Layers, Found]:
    """Return all layers, and what tuned.yaml says; it depends on what runs where."""
    name, file, shown = asked.name, read_system(folder), f"{folder.name}/{SYSTEM_FILE}"
    typed = ("command line", given(arguments, (*HARNESS, *MACHINE)))
    of_cluster = (str(arguments.cluster), _of_cluster(arguments, cluster))
    machine = (shown, given(file, MACHINE))
    default = ("default", DEFAULTS)
    backend, devices = (
        first((of_cluster, typed, machine, default), what).value for what in ("backend", "devices")
    )
    assert isinstance(devices, list | tuple), "a sequence in every layer"
    runs = Runs.of(arguments, str(backend), devices)
    tuned = tuned_for(folder, benchmark.name, name, runs)
    # Options belong to a backend: the system's for another one than the user chose do not hold.
    of_system = HARNESS if file.backend in {None, backend} else _WITHOUT_OPTIONS
    # A benchmark's defaults are for the default backend altogether.
    of_benchmark = HARNESS if backend == DEFAULTS["backend"] else ()
    section = file.section(benchmark.name, name)
    layers = (
        of_cluster,
        typed,
        (tuned.source, given(tuned.harness, HARNESS)),
        (f"{shown}, {benchmark.name}, {name}", given(section, of_system)),
        (f"{shown}, harness", given(file.harness, of_system)),
        machine,
        (f"benchmark {benchmark.name}", given(benchmark.harness_defaults(name), of_benchmark)),
        ("scenario", _of_scenario(asked, str(backend), _own_names(devices, cluster))),
        default,
    )
    return layers, tuned


def _of_cluster(arguments: Arguments, cluster: Cluster | None) -> dict[str, object]:
    """Return what a cluster decides: where the workers are. Nobody may ask for something else."""
    if cluster is None:
        if arguments.network is not None:
            raise ConfigError(
                "--network: no --cluster is given; expected the file that names the nodes which "
                "the samples travel to."
            )
        return {}
    for name in ("devices", "workers", "affinity"):
        if getattr(arguments, name) is not None:
            raise ConfigError(
                f"--{name} and --cluster: expected one of them; {arguments.cluster} names the "
                "devices, and their nodes run the workers."
            )
    devices = tuple(device for node in cluster.nodes for device in node.worker_devices)
    return {"devices": devices, "workers": "remote", "affinity": ""}


def _own_names(devices: Sequence[str], cluster: Cluster | None) -> Sequence[str]:
    return devices if cluster is None else [own_name(device) for device in devices]


def _of_scenario(asked: Scenario, backend: str, devices: Sequence[str]) -> dict[str, object]:
    """Return what the scenario and the kind of device decide where nobody else does.

    Engines on a GPU run in processes of their own: their threads do not wait for LoadGen's, and
    they stay open from test to test. Warm-up finds their batch, and a second one is in flight. A
    closed loop never has more than one query to batch, so no other size is prepared.
    """
    on_gpu = backend not in WITHOUT_MODEL and set(devices) != {"cpu"}
    found: dict[str, object] = {"workers": "process" if on_gpu else asked.default_workers}
    if asked.arrivals == "closed_loop":
        found["max_batch_size"] = asked.samples_per_query
        if on_gpu and backend in PREPARES_SIZES:
            found["backend_options"] = {"graph_sizes": asked.samples_per_query}
    elif on_gpu:
        found |= {"max_batch_size": AUTO, "slots": 2}
    return found


def _most_batch(benchmark: Benchmark) -> int:
    """Return the largest batch that warm-up may choose: a power of two of samples that fit."""
    inputs = benchmark.inputs
    # Pixels become floats on the device.
    dtypes = ["float32" if tensor.normalize else tensor.dtype for tensor in inputs]
    pairs = zip(inputs, dtypes, strict=True)
    sample_bytes = sum(math.prod(x.shape) * np.dtype(dtype).itemsize for x, dtype in pairs)
    fitting = max(1, _MOST_BATCH_BYTES // sample_bytes)
    return min(MOST_BATCH, 1 << (fitting.bit_length() - 1))


def _check_accuracy(arguments: Arguments, benchmark: Benchmark, backend: str) -> None:
    """Refuse an accuracy run that cannot be judged, before it starts."""
    if arguments.mode == "performance" or backend in WITHOUT_MODEL:
        return
    judge_of(benchmark.accuracy.metric).check_ready()


def _user_conf(
    arguments: Arguments, benchmark: Benchmark, folder: Path
) -> user_conf.UserConf | None:
    path = arguments.user_conf or folder / "user.conf"
    if arguments.user_conf is None and not path.is_file():
        return None
    models = [benchmark.loadgen_name, *benchmark_names()]
    return user_conf.load(path, models, strict=arguments.strict_conf)
