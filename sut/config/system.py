"""A system: a folder with system.yaml, and user.conf and tuned.yaml where they are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.harness_defaults import HarnessDefaults
from data.strict_yaml import StrictStruct, load_strict
from scenarios import scenario
from sut.base.environment import ROOT
from sut.base.errors import ConfigError, nearest

DEFAULT_SYSTEM = "default"
SYSTEMS = ROOT / "user_confs"
SYSTEM_FILE = "system.yaml"
# Simulated machines after published results: `--system published/NAME`.
PUBLISHED = "published"


class SystemFile(StrictStruct, frozen=True):
    """`user_confs/<system>/system.yaml`: what the machine is, and settings for it."""

    description: str
    backend: str | None = None
    devices: tuple[str, ...] | None = None
    affinity: str | None = None
    harness: HarnessDefaults = HarnessDefaults()
    benchmarks: Mapping[str, Mapping[str, HarnessDefaults]] = {}

    def section(self, benchmark: str, name: str) -> HarnessDefaults:
        """Return what holds for one benchmark and scenario alone."""
        return self.benchmarks.get(benchmark, {}).get(name, HarnessDefaults())


def read_system(folder: Path) -> SystemFile:
    """Read the system.yaml of a folder.

    Raises:
        ConfigError: a key or value is wrong, or a scenario's name is not LoadGen's.
    """
    path = folder / SYSTEM_FILE
    file = load_strict(path, SystemFile)
    for benchmark, sections in file.benchmarks.items():
        for section in sections:
            if scenario(section).name != section:
                raise ConfigError(
                    f"{path}: benchmarks.{benchmark}.{section}: LoadGen spells it "
                    f'"{scenario(section).name}".'
                )
    return file


def system_names() -> list[str]:
    """Return the systems in user_confs/, without the published ones."""
    return sorted(path.parent.name for path in SYSTEMS.glob(f"*/{SYSTEM_FILE}"))


def published_names() -> list[str]:
    """Return the systems in user_confs/published/, as `--system` takes them."""
    return sorted(
        f"{PUBLISHED}/{path.parent.name}" for path in SYSTEMS.glob(f"{PUBLISHED}/*/{SYSTEM_FILE}")
    )


def system_folder(name: str) -> Path:
    """Return the folder of a system: a name in user_confs/, or a path to a folder.

    Raises:
        ConfigError: there is none.
    """
    for folder in (SYSTEMS / name, Path(name)):
        if (folder / SYSTEM_FILE).is_file():
            return folder
    known = ", ".join(system_names())
    raise ConfigError(
        f'--system: "{name}" is neither a folder with a {SYSTEM_FILE} nor one of {known}, or of '
        f"user_confs/{PUBLISHED}/.{nearest(name, [*system_names(), *published_names()])}"
    )
