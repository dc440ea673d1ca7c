"""`sut doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from data.benchmark import benchmark_names
from sut import environment
from sut.config import system_names
from sut.errors import EXIT_FAILED, EXIT_VALID
from sut.submission import system

if TYPE_CHECKING:
    import argparse

GIB = 1 << 30
_ENOUGH_DISK_BYTES = 2 * GIB
_BUSY_SHARE = 0.5  # of the cores, above which a measurement is not to be trusted
# What only some machines need: package, module, what for, and how to get it.
_OPTIONAL = (
    ("tensorrt", "tensorrt", "TensorRT engines", "pip install -e .[tensorrt]"),
    ("cuda-python", "cuda.bindings", "GPU workers", "pip install -e .[cuda]"),
    ("nvidia-ml-py", "pynvml", "GPU clocks, power and memory", "pip install -e .[cuda]"),
    ("torch", "torch", "the torch backend", "pip install -e .[torch]"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: "ok", "note" (works, with a limit) or "lacks" (a run cannot work)."""

    state: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:5}  {self.what}" + (f"  -> {self.remedy}" if self.remedy else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = (
        "examples:\n  sut doctor --json\n"
        "  sut doctor --system-json > user_confs/my_server/system.json"
    )
    parser.add_argument(
        "--system-json",
        action="store_true",
        help="print this machine's description for a submission; a person fills in what is blank",
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the findings; fail when something needed is missing."""
    if arguments.system_json:
        return _describe()
    found = [*machine(), *packages(), *gpus(), *contents()]
    if arguments.json:
        fingerprint = environment.fingerprint()
        print(json.dumps({**fingerprint, "findings": [asdict(f) for f in found]}, indent=2))
    else:
        for finding in found:
            print(finding)
    return EXIT_FAILED if any(f.state == "lacks" for f in found) else EXIT_VALID


def _describe() -> int:
    """Print the description, and on standard error what is blank in it."""
    description = system.describe()
    print(json.dumps(description, indent=2))
    print(
        f"Blank, for a person to fill in: {', '.join(system.blanks(description))}", file=sys.stderr
    )
    return EXIT_VALID


def machine() -> list[Finding]:
    """Check processor, memory, disk, load and clocks."""
    cores, load = environment.cores(), environment.load_average()
    memory_gib = environment.memory_bytes() / GIB
    free = shutil.disk_usage(environment.ROOT).free
    found = [
        Finding("ok", f"{environment.os_name()}, {environment.cpu_model()}, {cores} cores usable"),
        Finding("ok", f"{memory_gib:.1f} GiB of memory"),
    ]
    if free < _ENOUGH_DISK_BYTES:
        found.append(Finding("note", f"{free / GIB:.1f} GiB of disk free", "make room: logs grow"))
    if load > _BUSY_SHARE * cores:
        found.append(
            Finding(
                "note", f"load average {load:.1f} on {cores} cores", "measure on an idle machine"
            )
        )
    governor = environment.governor()
    if governor not in (None, "performance"):
        found.append(
            Finding("note", f"CPU governor {governor}", "cpupower frequency-set -g performance")
        )
    return found


def packages() -> list[Finding]:
    """Check what every run needs, then what only some need."""
    found = []
    for name in ("mlcommons-loadgen", "numpy", "onnx", "onnxruntime", "pillow", "pyyaml"):
        try:
            found.append(Finding("ok", f"{name} {version(name)}"))
        except PackageNotFoundError:
            found.append(Finding("lacks", name, "make setup"))
    for name, module, purpose, remedy in _OPTIONAL:
        try:
            importlib.import_module(module)
            found.append(Finding("ok", f"{name} {version(name)}: {purpose}"))
        except ImportError as error:
            known = isinstance(error, ModuleNotFoundError)
            why = "not installed" if known else f"installed, but: {str(error).splitlines()[0]}"
            found.append(Finding("note", f"{name}: {why}; no {purpose}", remedy if known else ""))
    return found


def gpus() -> list[Finding]:
    """Look for NVIDIA's driver."""
    drivers = Path("/proc/driver/nvidia/gpus")
    count = len(list(drivers.iterdir())) if drivers.is_dir() else 0
    if count:
        return [Finding("ok", f"{count} NVIDIA GPU(s)")]
    return [Finding("note", "no NVIDIA GPU or driver: runs use the CPU")]


def contents() -> list[Finding]:
    """Name what can be run."""
    return [
        Finding("ok", f"Python {sys.version.split()[0]}"),
        Finding("ok", f"benchmarks: {', '.join(benchmark_names())}"),
        Finding("ok", f"systems: {', '.join(system_names())}"),
    ]
