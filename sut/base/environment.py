"""The fingerprint of the machine and the software that a result was measured with.

Only reads. A value that cannot be read is null, never guessed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from sut import __version__
from sut.base import cgroup, ending
from sut.base.errors import SutError

PACKAGES = (
    "mlcommons-loadgen",
    "numpy",
    "onnx",
    "onnxruntime",
    "pillow",
    "pyzmq",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "cuda-python",
    "torch",
)
# CUDA uses the GPU numbers of nvidia-smi and NVML, unless the user sets this variable.
DEVICE_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
ROOT = Path(__file__).resolve().parents[2]
# git answers within milliseconds, unless its folder is on a server that does not.
_GIT_S = 10.0


def versions() -> dict[str, str]:
    """Return the versions of this program, Python, and the installed packages that matter."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - loads email

    found = {"loadgen-sut": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def with_device_order() -> dict[str, str]:
    """Return the environment of a process that opens engines."""
    return {**DEVICE_ORDER, **os.environ}


def cores(root: Path = Path("/")) -> int:
    """Return the number of CPU cores that this process may use, at least 1.

    A quota of 1.5 cores' time counts as 1: a second thread would stand still half of the time.

    Args:
        root: see `cgroup.cpu_quota`.
    """
    allowed = len(os.sched_getaffinity(0))
    quota = cgroup.cpu_quota(root)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def physical_cores() -> int:
    """Return the cores that the calling thread may use; hyperthreads of one count once."""
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    allowed = os.sched_getaffinity(0)
    return min(cores(), len({_read(topology.format(cpu)) or str(cpu) for cpu in allowed}))


def fingerprint() -> dict[str, object]:
    """Return environment.json's content: machine, operating system, software, load."""
    return {
        "versions": versions(),
        "commit": commit(),
        "executable": sys.executable,
        "machine": {
            "cpu": cpu_model(),
            "cores_usable": cores(),
            "cpu_quota": cgroup.cpu_quota(),
            "cores_total": os.cpu_count(),
            "memory_bytes": memory_bytes(),
            "governor": governor(),
            "transparent_hugepages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
            "virtual": "hypervisor" in _cpu_field("flags").split(),
        },
        "system": {
            "name": os_name(),
            "kernel": platform.release(),
            "architecture": platform.machine(),
        },
        "load_average_1min": load_average(),
    }


def governor() -> str | None:
    """Return the CPU's frequency governor; None in most virtual machines."""
    return _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def cpu_model() -> str:
    """Return the CPU's name as the kernel prints it."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def cpu_features() -> frozenset[str]:
    """Return the CPU's instruction sets, as Linux names them."""
    return frozenset((_cpu_field("flags") or _cpu_field("Features")).split())


def os_name() -> str:
    """Return the distribution's name and version."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def memory_bytes() -> int:
    """Return the memory installed, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_left_bytes() -> int:
    """Return the memory that this process may still take without swapping, in bytes."""
    found = next(
        (line for line in (_read("/proc/meminfo") or "").splitlines() if "MemAvailable" in line), ""
    )
    free = int(found.split()[1]) << 10 if found else memory_bytes()
    allowed = cgroup.memory_left_bytes()
    return free if allowed is None else min(free, allowed)


def commit() -> str | None:
    """Return the commit of the checkout, with "+changes" if files differ; None outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError, SutError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    done = ending.output(command, _GIT_S)
    done.check_returncode()
    return done.stdout.strip()


def _cpu_field(name: str) -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def machine_hash() -> str:
    """Return what is the same for all processes of a machine, until it is started anew."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    text = boot.read_text("utf-8") if boot.is_file() else platform.node()
    return sha256(text.encode()).hexdigest()[:16]
