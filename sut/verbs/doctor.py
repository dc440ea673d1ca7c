"""`sut doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from backends.capability import PRECISIONS, gpu_support
from data.benchmark import benchmark_names
from sut.base import cgroup, environment
from sut.base.errors import EXIT_FAILED, EXIT_VALID, ConfigError
from sut.base.scheduling import crowded
from sut.config.system import SYSTEM_FILE, published_names, system_names
from sut.submission import network, system
from sut.telemetry import nvml, power_sources, reasons
from sut.verbs.new_system import OPTION, this_machine, write_system

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.telemetry.meter import Facts

GIB = 1 << 30
_ENOUGH_DISK_BYTES = 2 * GIB
_BUSY_SHARE = 0.5  # of the cores; do not trust a measurement on a busier machine
# What only some machines need: package, module, purpose, and how to install it.
_OPTIONAL = (
    ("tensorrt", "tensorrt", "TensorRT engines", "pip install -e '.[tensorrt]'"),
    ("cuda-python", "cuda.bindings", "GPU workers", "pip install -e '.[cuda]'"),
    ("nvidia-ml-py", "pynvml", "GPU clocks, power and memory", "pip install -e '.[cuda]'"),
    ("torch", "torch", "torch backend", "pip install -e '.[torch]'"),
    ("pycocotools", "pycocotools", "accuracy of boxes", "pip install -e '.[detection]'"),
    ("uvicorn", "uvicorn", "sut serve", "pip install -e '.[serve]'"),
    ("pyzmq", "zmq", "devices of other machines", "pip install -e '.[cluster]'"),
)
# Programs that some commands run on GPUs: name, purpose, and where they come from.
_PROGRAMS = (
    ("nsys", "sut concurrency --explain", "Nsight Systems, or name another --profiler"),
    ("nvidia-cuda-mps-control", "sut concurrency --share mps", "NVIDIA's driver of a server"),
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
        "examples:\n  sut doctor --json\n  sut doctor --write-system my_server\n"
        "  sut doctor --system-json > user_confs/my_server/system.json"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--system-json",
        action="store_true",
        help="print the description of this machine for a submission; fill in the blank fields",
    )
    other.add_argument(
        OPTION,
        metavar="NAME",
        help="write user_confs/NAME/ for this machine: system.yaml and system.json",
    )
    parser.add_argument(
        "--network",
        action="store_true",
        help="add the fields of a system whose SUT is reached over a network",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help=f"{OPTION} may replace a system that is there"
    )

    parser.add_argument(
        "--workers", type=_workers, metavar="N",
        help="processes or threads that will feed devices, to see whether the cores are enough "
        "(default: one for each GPU)",
    )  # fmt: skip


def _workers(text: str) -> int:
    """Read --workers."""
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f'"{text}"; expected a number from 1')


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the findings; fail if something necessary is missing."""
    if arguments.write_system is not None:
        return _write(arguments)
    if arguments.overwrite:
        raise ConfigError(f"--overwrite: it belongs to {OPTION} NAME, which is not given.")
    if arguments.system_json:
        return _describe(networked=arguments.network)
    if arguments.network:
        raise ConfigError(f"--network: it belongs to {OPTION} NAME or --system-json.")
    facts, why_none = nvml.all_facts()
    found = [
        *machine(),
        *crowd(arguments.workers or len(facts)),
        *packages(),
        *gpus(facts, why_none),
        *(tools() if facts else []),
        *power(facts),
        *contents(),
    ]
    if arguments.json:
        content = {
            **environment.fingerprint(),
            "gpus": [asdict(gpu) for gpu in facts],
            "findings": [asdict(finding) for finding in found],
        }
        print(json.dumps(content, indent=2))
    else:
        for finding in found:
            print(finding)
    return EXIT_FAILED if any(f.state == "lacks" for f in found) else EXIT_VALID


def _describe(*, networked: bool) -> int:
    """Print the description, and its blank fields on standard error."""
    description = system.describe() | (network.described() if networked else {})
    more = network.OF_PERSON if networked else ()
    print(json.dumps(description, indent=2))
    blank = ", ".join(system.blanks(description, more))
    print(f"Blank fields, to be filled in by hand: {blank}", file=sys.stderr)
    return EXIT_VALID


def _write(arguments: argparse.Namespace) -> int:
    """Write the folder of a system; say what it holds and what is still to do."""
    machine, name = this_machine(), arguments.write_system
    written = write_system(
        name, machine, overwrite=arguments.overwrite, networked=arguments.network
    )
    folder = written.folder
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    content = {
        "folder": str(folder),
        "backend": machine.backend,
        "devices": machine.devices,
        "affinity": machine.affinity,
        "blank": written.blank,
    }
    if arguments.json:
        print(json.dumps(content, indent=2))
        return EXIT_VALID
    near = f", affinity {machine.affinity}" if machine.affinity else ""
    print(
        f"{folder / SYSTEM_FILE}: backend {machine.backend}, devices "
        f"{','.join(machine.devices)}{near}"
    )
    print(f"{folder / system.SYSTEM_FILE}: for a submission, fill in {', '.join(written.blank)}")
    print(f"Next: sut run -b efficientnet-lite0 -s Offline --system {name}")
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
        found.append(
            Finding("note", f"{free / GIB:.1f} GiB of disk free", "free some disk space: logs grow")
        )
    quota = cgroup.cpu_quota()
    if quota is not None:
        what = f"a CPU quota of {quota:g} cores: every thread stands still once it is used up"
        found.append(Finding("note", what, "raise it (docker run --cpus, cpu.max), or remove it"))
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


def crowd(workers: int) -> list[Finding]:
    """Warn of more workers than half of the cores that this process may use."""
    why = crowded(workers)
    remedy = "use fewer workers, or more cores (taskset, docker run --cpuset-cpus)"
    return [] if why is None else [Finding("note", why, remedy)]


def packages() -> list[Finding]:
    """Check the packages that every run needs, then those that only some runs need."""
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


def gpus(facts: Sequence[Facts], why_none: str) -> list[Finding]:
    """Report what NVML says about each GPU, or why it says nothing."""
    if facts:
        return [finding for gpu in facts for finding in _gpu(gpu)]
    count = nvml.installed()
    without = f"no GPU facts or telemetry: {why_none}"
    if count:
        remedy = "pip install -e '.[cuda]'" if "nvidia-ml-py" in why_none else ""
        return [Finding("note", f"{count} NVIDIA GPU(s); {without}", remedy)]
    return [Finding("note", f"no NVIDIA GPU or driver: runs use the CPU; {without}")]


def _gpu(gpu: Facts) -> list[Finding]:
    """One line of facts, and one for each condition that spoils a measurement."""
    link = gpu.link
    parts = [
        f"GPU {gpu.device}: {gpu.name}",
        f"compute {gpu.compute_capability}",
        f"{(gpu.memory_bytes or 0) / GIB:.1f} GiB",
        f"driver {gpu.driver}",
        f"limit {gpu.power_limit_w:.0f} W" if gpu.power_limit_w else "",
        f"{gpu.temperature_c} C" if gpu.temperature_c is not None else "",
        f"SM clock at most {gpu.sm_clock.max_mhz} MHz" if gpu.sm_clock.max_mhz else "",
        f"PCIe {link.max_generation}.0 x{link.width}" if link.width else "",
        f"NUMA node {gpu.numa_nodes[0]}" if gpu.numa_nodes else "",
        "" if gpu.ecc is None else f"ECC {'on' if gpu.ecc else 'off'}",
        _tensor_cores(gpu),
    ]
    found = [Finding("ok", ", ".join(filter(None, parts))), *_profiling(gpu)]
    if gpu.ecc is False:
        what = f"GPU {gpu.device}: ECC is off; a datacenter submission needs it on"
        found.append(Finding("note", what, "nvidia-smi -e 1, then reboot"))
    if link.width and link.max_width and link.width < link.max_width:
        what = f"GPU {gpu.device}: its PCIe link has {link.width} of {link.max_width} lanes"
        found.append(Finding("note", what, "reseat the card, or use another slot"))
    held = [reason for reason in reasons.THROTTLING if (gpu.throttle or 0) & reason.bit]
    found += [
        Finding("note", f"GPU {gpu.device}: throttled by {reason.name}", reason.remedy)
        for reason in held
    ]
    return found


def _tensor_cores(gpu: Facts) -> str:
    """Return the precisions that a GPU has tensor cores for; nothing for an unknown one."""
    if gpu.compute_capability is None:
        return ""
    sm = int(gpu.compute_capability.replace(".", ""))
    found = [p for p in PRECISIONS if gpu_support(sm, p).how == "tensor cores"]
    return f"tensor cores for {' '.join(found)}" if found else "no tensor cores"


def _profiling(gpu: Facts) -> list[Finding]:
    what = f"GPU {gpu.device}: SM, tensor core and DRAM use"
    if gpu.profiling is not None:
        return [Finding("ok", f"{what} from {gpu.profiling}")]
    why = f"{what} are not told: {gpu.no_profiling}"
    return [Finding("note", why, "install DCGM")] if gpu.no_profiling else []


def tools() -> list[Finding]:
    """Report NVIDIA's programs that some commands run, for a machine with GPUs."""
    return [
        Finding("ok", f"{name}: {purpose}")
        if shutil.which(name)
        else Finding("note", f"{name}: not installed; no {purpose}", f"install {package}")
        for name, purpose, package in _PROGRAMS
    ]


def power(facts: Sequence[Facts]) -> list[Finding]:
    """Report every source of power figures, and which one a run asks."""
    sources = list(power_sources.candidates())
    chosen = power_sources.choose(sources, on_gpus=bool(facts))
    found = [Finding("note" if chosen.source is None else "ok", chosen.words)]
    others = [s for s in sources if not s.why_not and s.source != chosen.source]
    return [*found, *(Finding("ok", f"power also from {s.source}, {s.what}") for s in others)]


def contents() -> list[Finding]:
    """Name what can be run."""
    return [
        Finding("ok", f"Python {sys.version.split()[0]}"),
        Finding("ok", f"benchmarks: {', '.join(benchmark_names())}"),
        Finding(
            "ok",
            f"systems: {', '.join(system_names())}; {len(published_names())} machines of published "
            "results, --system published/NAME",
        ),
    ]
