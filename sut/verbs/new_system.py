"""`sut doctor --write-system NAME`: the folder of a system, as this machine shows it.

system.yaml says what no default can know: backend, devices, and the cores near each device.
system.json describes the machine for a submission; what the machine does not show stays blank.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from backends.at_hand import gpu_backend
from data.strict_yaml import parse_strict
from sut.base import environment
from sut.base.errors import ConfigError
from sut.base.files import write_whole
from sut.base.process import cpu_list, parse_cpus
from sut.config.harness import DEFAULTS
from sut.config.settings import CPU
from sut.config.system import SYSTEM_FILE, SYSTEMS, SystemFile
from sut.submission import network
from sut.submission import system as description
from sut.telemetry import nvml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sut.submission.system import System
    from sut.telemetry.meter import Facts

OPTION = "--write-system"
VISIBLE = "CUDA_VISIBLE_DEVICES"
# A name becomes a folder, and a part of paths in a submission.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A worker process has two busy threads: one starts batches, and one waits for them.
_LEAST_CORES = 2
_HEAD = """\
# Written by `sut doctor {option} {name}`{where}. Batch sizes and other settings are
# not here: the benchmark has defaults, and `sut tune` finds better ones and writes tuned.yaml.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What engines run on.

    Attributes:
        backend: a key of backends.base.BACKENDS.
        gpus: by CUDA's numbers; empty for the CPU.
        affinity: the cores of each device; empty: all.
    """

    backend: str
    gpus: Sequence[Facts] = ()
    affinity: str = ""

    @property
    def devices(self) -> list[str]:
        """As `--devices` names them."""
        return [gpu.device for gpu in self.gpus] or [CPU]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        folder: of the system.
        blank: fields of system.json that a person fills in.
    """

    folder: Path
    blank: list[str]


def write_system(
    name: str, machine: Machine, *, overwrite: bool, networked: bool = False
) -> Written:
    """Write both files of a system, or none.

    Args:
        name: of a folder in user_confs/, or the path of a folder.
        machine: what it runs on.
        overwrite: replace system.yaml, and what the machine shows in system.json. What a person
            filled in there stays.
        networked: the SUT is reached over a network, whose fields are needed, too.

    Raises:
        ConfigError: the name is no name, or a file is there already; one line.
        DataError: the system.json that is there is no JSON object.
    """
    folder = _folder(name)
    yaml_path, json_path = folder / SYSTEM_FILE, folder / description.SYSTEM_FILE
    there = [path for path in (yaml_path, json_path) if path.exists()]
    if there and not overwrite:
        raise ConfigError(
            f"{OPTION}: {there[0]} is there already. Choose another name, or add --overwrite, "
            f"which replaces {SYSTEM_FILE} and keeps what you filled in in "
            f"{description.SYSTEM_FILE}."
        )
    text = _yaml(name, machine)
    parse_strict(text, str(yaml_path), SystemFile)
    described = description.describe(machine.gpus)
    if networked:
        described |= network.described()
    if json_path.exists():
        described = _with_filled(described, description.read(json_path))
    shown = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    write_whole({yaml_path: text, json_path: shown})
    more = network.OF_PERSON if networked else ()
    return Written(folder, description.blanks(described, more))


def this_machine() -> Machine:
    """Return what engines run on here. See `choose`."""
    visible = os.environ.get(VISIBLE)
    gpus, why_none = nvml.all_facts(visible)
    return choose(gpus, nvml.installed() if visible is None else 0, why_none, gpu_backend)


def choose(
    gpus: Sequence[Facts],
    installed: int,
    why_none: str,
    backend_of: Callable[[int], tuple[str | None, str]],
) -> Machine:
    """Return the GPUs with the backend that can use them, else the CPU.

    Args:
        gpus: that CUDA sees.
        installed: GPUs that must not be overlooked if `gpus` is empty.
        why_none: why it is empty.
        backend_of: see backends.at_hand.gpu_backend.

    Raises:
        ConfigError: there are GPUs, but nothing here can use them.
    """
    if gpus:
        backend, why_not = backend_of(int((gpus[0].compute_capability or "0").replace(".", "")))
        if backend is not None:
            return Machine(backend, gpus, near_cores(gpus, os.sched_getaffinity(0)))
        lacks = f"{len(gpus)} GPU(s), but no backend here can use them ({why_not})"
    elif installed:
        lacks = f"{installed} GPU(s), but {why_none}"
    else:
        return Machine(str(DEFAULTS["backend"]))
    raise ConfigError(
        f"{OPTION}: {lacks}. Install what is missing, such as pip install -e '.[cuda,torch]'; or "
        f"describe the CPU alone: {VISIBLE}= sut doctor {OPTION} NAME."
    )


def near_cores(gpus: Sequence[Facts], allowed: Collection[int]) -> str:
    """Return the cores near each GPU, as `affinity` in system.yaml; empty where all are near.

    GPUs with the same cores share one entry. A GPU with fewer than two near cores gets none.

    Args:
        gpus: with the cores that NVML names.
        allowed: the cores that this process may use.
    """
    devices: dict[str, list[str]] = {}
    for gpu in gpus:
        near = parse_cpus(gpu.cpus) & set(allowed) if gpu.cpus else set()
        if _LEAST_CORES <= len(near) < len(allowed):
            devices.setdefault(cpu_list(near), []).append(gpu.device)
    return "&".join(f"{','.join(those)}:{cores}" for cores, those in devices.items())


def _folder(name: str) -> Path:
    if not _NAME.fullmatch(Path(name).name):
        raise ConfigError(
            f'{OPTION}: "{name}" cannot be the name of a system; expected letters, digits, ".", '
            '"_" and "-", such as my_server.'
        )
    return Path(name) if len(Path(name).parts) > 1 else SYSTEMS / name


def _yaml(name: str, machine: Machine) -> str:
    visible = os.environ.get(VISIBLE)
    where = "" if visible is None else f" with {VISIBLE}={visible}"
    content: dict[str, object] = {
        "description": _words(machine.gpus),
        "backend": machine.backend,
        "devices": machine.devices,
    }
    if machine.affinity:
        content["affinity"] = machine.affinity
    body = yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return _HEAD.format(option=OPTION, name=name, where=where) + body


def _words(gpus: Sequence[Facts]) -> str:
    """Describe the machine in a few words."""
    cpu = f"{environment.cpu_model()}, {environment.cores()} cores usable"
    kinds = Counter(gpu.name for gpu in gpus)
    named = ", ".join(f"{count} x {name}" for name, count in kinds.items())
    return f"{named} on {cpu}" if named else f"the CPU: {cpu}"


def _with_filled(described: System, before: System) -> System:
    """Return the description, with what a person wrote where the machine shows nothing."""
    return {**before, **{name: value or before.get(name, "") for name, value in described.items()}}
