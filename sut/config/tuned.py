"""tuned.yaml of a system: what `sut tune` found, and for which backend, devices and model.

A setting that was tuned on one device is no setting for another, and a batch that suits an int8
model does not suit the fp32 one: each entry holds for its own benchmark, scenario, backend, devices
and model alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from data.harness_defaults import HarnessDefaults
from data.strict_yaml import StrictStruct, load_strict

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.arguments import Arguments

TUNED_FILE = "tuned.yaml"
# user.conf prints a rate with fewer digits than it has.
_SAME_RATE = 1e-6


class Runs(NamedTuple):
    """What a run runs, and on what: a tuned setting is for one of these.

    Attributes:
        backend: a key of backends.base.BACKENDS.
        devices: all of them, in any order.
        model: the name of the file given as --model; empty: the benchmark's own.
        cluster: the name of the file given as --cluster; empty: the devices are in this machine.
        pixels: samples are 8-bit pixels, as --pixels says.
    """

    backend: str
    devices: Sequence[str]
    model: str
    cluster: str = ""
    pixels: bool = False

    @classmethod
    def of(cls, arguments: Arguments, backend: str, devices: Sequence[str]) -> Self:
        """Return what a command line runs on its backend and devices."""
        files = (arguments.model, arguments.cluster)
        model, cluster = ("" if file is None else file.name for file in files)
        return cls(backend, devices, model, cluster, bool(arguments.pixels))

    def __str__(self) -> str:
        model = f", model {self.model}" if self.model else ""
        cluster = f", cluster {self.cluster}" if self.cluster else ""
        pixels = ", samples as pixels" if self.pixels else ""
        return f"backend {self.backend}, devices {','.join(self.devices)}{model}{cluster}{pixels}"


class Tuned(StrictStruct, frozen=True):
    """What the tuner found.

    Attributes:
        benchmark: its name.
        scenario: as LoadGen spells it.
        backend: a key of backends.base.BACKENDS.
        devices: all that were used, in any order.
        harness: the settings.
        model: see Runs; None in an entry of an older version, which holds for any.
        cluster: see Runs; None: none.
        pixels: see Runs; None: no.
        target_qps: the rate that was written into user.conf with them; None: none was.
        found: where the proof is, in words.
    """

    benchmark: str
    scenario: str
    backend: str
    devices: tuple[str, ...]
    harness: HarnessDefaults
    model: str | None = None
    cluster: str | None = None
    pixels: bool | None = None
    target_qps: float | None = None
    found: str = ""

    def is_for(self, runs: Runs) -> bool:
        """Say whether it was found with this backend, on these devices, for this model."""
        same = (self.backend, self.cluster or "") == (runs.backend, runs.cluster)
        same = same and bool(self.pixels) == runs.pixels
        same = same and sorted(self.devices) == sorted(runs.devices)
        return same and self.model in {None, runs.model}

    @property
    def runs(self) -> Runs:
        """What it was found for."""
        where = self.cluster or ""
        return Runs(self.backend, self.devices, self.model or "", where, bool(self.pixels))


class Unkeyed(StrictStruct, frozen=True):
    """An entry of an older version, which did not note backend and devices."""

    harness: HarnessDefaults
    found: str = ""


class TunedFile(StrictStruct, frozen=True):
    """The tuner's own file; it wins over system.yaml.

    Attributes:
        tuned: the entries.
        benchmarks: entries of an older version, by benchmark and scenario. Nobody can tell which
            backend and devices they are for, so they are kept and not applied.
    """

    tuned: tuple[Tuned, ...] = ()
    benchmarks: Mapping[str, Mapping[str, Unkeyed]] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """What tuned.yaml says to one run.

    Attributes:
        source: the file, for a report.
        harness: empty without an entry for it.
        target_qps: the rate of that entry, queries/s.
        notes: why an entry for its benchmark and scenario is not applied, a line each.
        other_rates: rates in user.conf that were tuned for something else, queries/s.
    """

    source: str
    harness: HarnessDefaults = field(default_factory=HarnessDefaults)
    target_qps: float | None = None
    notes: tuple[str, ...] = ()
    other_rates: tuple[float, ...] = ()

    def is_of_others(self, qps: float) -> bool:
        """Say whether a rate in user.conf was tuned for other devices than this run's."""
        return any(math.isclose(qps, rate, rel_tol=_SAME_RATE) for rate in self.other_rates)


def read_tuned(folder: Path) -> TunedFile:
    """Read the tuned.yaml of a system; an empty one if there is none.

    Raises:
        ConfigError: it is wrong.
    """
    path = folder / TUNED_FILE
    return load_strict(path, TunedFile) if path.is_file() else TunedFile()


def tuned_for(folder: Path, benchmark: str, scenario: str, runs: Runs) -> Found:
    """Return what the system's tuned.yaml says to a run.

    Raises:
        ConfigError: the file is wrong.
    """
    file, where = read_tuned(folder), f"{folder.name}/{TUNED_FILE}"
    about = [t for t in file.tuned if (t.benchmark, t.scenario) == (benchmark, scenario)]
    own = next((entry for entry in about if entry.is_for(runs)), None)
    others = [entry for entry in about if not entry.is_for(runs)]
    rates = tuple(entry.target_qps for entry in others if entry.target_qps is not None)
    if own is not None:
        return Found(where, own.harness, own.target_qps, other_rates=rates)
    notes = [
        f"{where}: not applied: {benchmark} {scenario} was tuned for {entry.runs}; this run uses "
        f"{runs}."
        for entry in others
    ]
    if scenario in file.benchmarks.get(benchmark, {}):
        notes.append(
            f"{where}: not applied: the entry of {benchmark} {scenario} does not say for which "
            "backend and devices it was found. Run sut tune again."
        )
    return Found(where, notes=tuple(notes), other_rates=rates)
