"""systems/SYSTEM.json: what the machine shows, and what a person must add.

Nothing is invented: a field that the machine does not show stays blank and is named.
Field lists: mlcommons/inference, submission_checker/constants.py (SYSTEM_DESC_*).
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment
from sut.base.errors import ConfigError, DataError
from sut.telemetry import nvml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.telemetry.meter import Facts

    System = dict[str, object]

SYSTEM_FILE = "system.json"
STATUSES = ("available", "preview", "rdi")
SYSTEM_TYPES = ("datacenter", "edge", "datacenter,edge", "edge,datacenter")
# --fast writes this into a blank field so that checkers can read the tree; `sut check` refuses it.
PLACEHOLDER = "BLANK: a person must fill this in"

# Fields that must not be empty, in reading order.
NEEDED = (
    "submitter", "division", "status", "system_type", "system_name", "number_of_nodes",
    "host_processor_model_name", "host_processors_per_node", "host_processor_core_count",
    "host_memory_capacity", "host_memory_configuration", "host_storage_capacity",
    "host_storage_type", "host_networking", "host_networking_topology", "host_network_card_count",
    "accelerators_per_node", "accelerator_model_name", "accelerator_memory_capacity",
    "accelerator_memory_configuration", "accelerator_host_interconnect",
    "accelerator_interconnect", "cooling", "framework", "operating_system",
    "other_software_stack",
)  # fmt: skip
# Fields that must exist, but may be empty.
PRESENT = (
    "system_type_detail", "host_processor_frequency", "host_processor_caches",
    "host_processor_interconnect", "accelerator_frequency", "accelerator_interconnect_topology",
    "accelerator_on-chip_memories", "hw_notes", "sw_notes",
)  # fmt: skip
_MAX_DEPTH = 50
_MAX_DIGITS = 9
_FROM_COMMAND = ("submitter", "division")
_NOT_THERE = "N/A"
# The checkers and generate_final_report.py compute with these.
_WHOLE = ("number_of_nodes", "accelerators_per_node", "host_processors_per_node")
_SECTOR_BYTES = 512
_GIB, _GB = 1 << 30, 10**9


def describe(gpus: Sequence[Facts] | None = None) -> System:
    """Return the description of this machine; fields that it does not show are empty.

    Args:
        gpus: those that are used; None: all.
    """
    found = {**dict.fromkeys((*NEEDED, *PRESENT), ""), "number_of_nodes": "1"}
    found |= {**_processor(), **_memory(), **_storage(), **_network(), **_accelerators(gpus)}
    found |= _software()
    return dict(found)


def blanks(system: Mapping[str, object], more: Sequence[str] = ()) -> list[str]:
    """Return the empty fields, without those that the command line gives.

    Args:
        system: the description.
        more: further fields that must not be empty.
    """
    needed = (name for name in (*NEEDED, *more) if name not in _FROM_COMMAND)
    return [name for name in needed if not says(system, name)]


def problems(system: Mapping[str, object]) -> list[str]:
    """Return what a checker refuses in a description, except empty fields; one phrase each."""
    found = [f'field "{name}" is missing' for name in (*NEEDED, *PRESENT) if name not in system]
    for name, known in (("status", STATUSES), ("system_type", SYSTEM_TYPES)):
        value = str(system.get(name, ""))
        # The checkers take "Available", and compare system_type letter by letter.
        compared = value.lower() if name == "status" else value
        if says(system, name) and compared not in known:
            found.append(f'{name} is "{value}"; expected one of: {", ".join(known)}')
    for name in _WHOLE:
        value = str(system.get(name, ""))
        if says(system, name) and not (value.isdecimal() and len(value) <= _MAX_DIGITS):
            found.append(f'{name} is "{value[:40]}"; expected a whole number')
    return found


def load(folder: Path, name: str, *, fast: bool, more: Sequence[str] = ()) -> System:
    """Return the description that a person completed in a system's folder.

    Args:
        folder: of the system, in user_confs/.
        name: of the system, for messages.
        fast: replace empty fields by PLACEHOLDER instead of refusing them.
        more: further fields that must not be empty.

    Raises:
        ConfigError: it is missing, not a JSON object, or incomplete; one line.
    """
    path = folder / SYSTEM_FILE
    shown = f"`sut doctor --system-json > {path}`"
    if path.is_file():
        system = read(path)
    elif fast:
        system = describe()
    else:
        raise ConfigError(
            f"{path}: no such file; a submission describes its system {name}. Run {shown} and fill "
            "in what is blank."
        )
    wrong = problems(system)
    empty = blanks(system, more)
    if fast:
        system |= dict.fromkeys(empty, PLACEHOLDER)
        system |= {f: v for f, v in _FAST.items() if f in empty}
        empty = []
    if wrong or empty:
        named = [f"blank: {', '.join(empty)}"] if empty else []
        raise ConfigError(
            f"{path}: {'; '.join([*wrong, *named])}. Fill it in there; {shown} would begin anew."
        )
    return system


# Fields of which a checker reads the value: here a placeholder would stop it.
_FAST = {"status": "rdi", "system_type": "datacenter,edge"}


def read(path: Path) -> System:
    """Return a JSON object.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    if path.exists() and not path.is_file():  # to read a pipe or a device may never end
        raise DataError(f"{path}: is not a file; expected a JSON object.")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read: {why}; expected a JSON object.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; expected a JSON object.")
    if not _flat(content, _MAX_DEPTH):
        raise DataError(f"{path}: nested too deeply; expected a JSON object of plain fields.")
    return content


def _flat(content: object, depth: int) -> bool:
    """Return whether a value has at most `depth` levels; deeper ones cannot be printed."""
    if not isinstance(content, dict | list):
        return True
    inner = content.values() if isinstance(content, dict) else content
    return depth > 0 and all(_flat(value, depth - 1) for value in inner)


def says(system: Mapping[str, object], name: str) -> bool:
    """Return whether a field is filled in; the checkers read the number 0 as empty."""
    value = system.get(name)
    return bool(value) and str(value).strip() != "" and value != PLACEHOLDER


def _processor() -> dict[str, str]:
    cpus = [_fields(block) for block in _text("/proc/cpuinfo").split("\n\n") if block]
    sockets = {cpu["physical id"] for cpu in cpus if "physical id" in cpu}
    cores = {(cpu.get("physical id"), cpu["core id"]) for cpu in cpus if "core id" in cpu}
    count = len(sockets) or 1
    frequency = _text("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip()
    return {
        "host_processor_model_name": environment.cpu_model(),
        "host_processors_per_node": str(count),
        "host_processor_core_count": str(len(cores) // count) if cores else "",
        "host_processor_frequency": f"{int(frequency) / 1e6:.2f} GHz" if frequency else "",
        "host_processor_caches": _caches(),
    }


def _fields(block: str) -> dict[str, str]:
    """Return the lines `name : value` of one processor."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _caches() -> str:
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(index / name).strip() for name in ("level", "type", "size"))
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        found.append(f"L{level}{letter}: {size}")
    return ", ".join(found)


def _memory() -> dict[str, str]:
    return {"host_memory_capacity": f"{environment.memory_bytes() / _GIB:.0f} GB"}


def _storage() -> dict[str, str]:
    sizes, kinds = 0, set()
    for disk in sorted(Path("/sys/block").glob("*")):
        if not (disk / "device").exists() or _text(disk / "removable").strip() == "1":
            continue
        sizes += int(_text(disk / "size").strip() or 0) * _SECTOR_BYTES
        if disk.name.startswith("nvme"):
            kinds.add("NVMe SSD")
        elif disk.name.startswith("sd"):
            rotates = _text(disk / "queue/rotational").strip() == "1"
            kinds.add("HDD" if rotates else "SSD")
    return {
        "host_storage_capacity": f"{sizes / _GB:.0f} GB" if sizes else "",
        "host_storage_type": ", ".join(sorted(kinds)),
    }


def _network() -> dict[str, str]:
    cards = [card for card in Path("/sys/class/net").glob("*") if (card / "device").exists()]
    speeds = {_text(card / "speed").strip() for card in cards} - {"", "-1"}
    names = sorted(f"Ethernet {int(speed) / 1000:g} Gb/s" for speed in speeds if speed.isdecimal())
    return {
        "host_network_card_count": str(len(cards)) if cards else "",
        "host_networking": ", ".join(names),
    }


def _accelerators(used: Sequence[Facts] | None) -> dict[str, str]:
    """Describe NVIDIA's GPUs from their driver; without a GPU every field is N/A."""
    gpus = nvml.all_facts()[0] if used is None else used
    if gpus:
        first = gpus[0]
        memory, link, clock = first.memory_bytes, first.link, first.sm_clock.max_mhz
        return {
            "accelerators_per_node": str(len(gpus)),
            "accelerator_model_name": ", ".join(dict.fromkeys(gpu.name for gpu in gpus)),
            "accelerator_memory_capacity": f"{memory / _GIB:.0f} GB" if memory else "",
            "accelerator_frequency": f"{clock} MHz" if clock else "",
            "accelerator_host_interconnect": f"PCIe Gen{link.max_generation} x{link.max_width}"
            if link.max_generation and link.max_width
            else "",
        }
    if used is None and nvml.installed():
        return {}  # the driver does not answer: a person fills it in
    named = [name for name in (*NEEDED, *PRESENT) if name.startswith("accelerator")]
    return {**dict.fromkeys(named, _NOT_THERE), "accelerators_per_node": "0"}


def _software() -> dict[str, str]:
    versions = environment.versions()
    engines = ("onnxruntime", "tensorrt", "tensorrt-rtx", "torch")
    frameworks = [f"{name} {versions[name]}" for name in engines if name in versions]
    others = [f"{name} {text}" for name, text in versions.items() if name not in engines]
    return {
        "framework": ", ".join(frameworks),
        "operating_system": f"{environment.os_name()}, Linux {platform.release()}",
        "other_software_stack": ", ".join(others),
    }


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # this kernel does not show it
        return ""
