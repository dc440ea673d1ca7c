"""What sampling the devices costs: the latency of a run with the sampler at work and halted.

One SingleStream run; its sampler is halted and let go in turns of a second, so that both see the
same clocks and temperature. Prints the latencies of both (from IssueQuery to completion), and what
each question to NVML takes on an otherwise idle GPU, where there is one.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sut.base.environment import ROOT
from sut.record.run_folder import BATCHES_FILE, TRACE_FILE
from sut.telemetry import nvml
from tests.tidy import terminated, tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

TURN_S = 1.0
TIMES = 100
MODULE = b"sut.telemetry.sampler"
# Function and arguments after the handle; see sut.telemetry.nvml.
QUESTIONS: dict[str, tuple[object, ...]] = {
    "nvmlDeviceGetFieldValues (power now)": ([186],),
    "nvmlDeviceGetFieldValues (energy)": ([83],),
    "nvmlDeviceGetFieldValues (both)": ([186, 83],),
    "nvmlDeviceGetPowerUsage": (),
    "nvmlDeviceGetTotalEnergyConsumption": (),
    "nvmlDeviceGetTemperature": (0,),
    "nvmlDeviceGetClockInfo": (1,),
    "nvmlDeviceGetUtilizationRates": (),
    "nvmlDeviceGetMemoryInfo": (),
    "nvmlDeviceGetCurrentClocksEventReasons": (),
    "nvmlDeviceGetCurrPcieLinkWidth": (),
    "nvmlDeviceGetComputeRunningProcesses": (),
}


def main() -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-b", "--benchmark", default="resnet50-synthetic")
    parser.add_argument("--min-duration-s", type=float, default=12.0)
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["-b", arguments.benchmark, "-s", "SingleStream", *options, "--out", str(out)]
        words += ["--min-duration-s", str(arguments.min_duration_s)]
        command = [sys.executable, "-m", "sut", "run", *words]
        with terminated(subprocess.Popen(command, cwd=ROOT)) as process:
            turns_ns = take_turns(process, out)
            process.wait()
        with np.load(out / BATCHES_FILE, allow_pickle=False) as file:
            show(dict(file), turns_ns)
    ask()
    return 0


def take_turns(process: subprocess.Popen[bytes], out: Path) -> list[int]:
    """Halt and release the sampler while the test runs; return when, halted first."""
    while process.poll() is None and not began(out):
        time.sleep(0.05)
    turns_ns: list[int] = []
    while process.poll() is None and (out / TRACE_FILE).exists():
        halt = len(turns_ns) % 2 == 0
        for pid in samplers():
            os.kill(pid, signal.SIGSTOP if halt else signal.SIGCONT)
        turns_ns.append(time.monotonic_ns())
        time.sleep(TURN_S)
    for pid in samplers():
        os.kill(pid, signal.SIGCONT)
    return turns_ns


def began(out: Path) -> bool:
    """Tell whether LoadGen has started."""
    return any(out.glob("mlperf_log_detail.txt"))


def samplers() -> list[int]:
    """Return the sampling processes of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if MODULE in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def show(batches: dict[str, NDArray[np.int64]], turns_ns: list[int]) -> None:
    """Print the latencies of the turns; the first and last 50 ms of each are left out."""
    turn = np.searchsorted(turns_ns, batches["oldest_ns"]) - 1
    since_ns = batches["oldest_ns"] - np.array(turns_ns)[np.maximum(turn, 0)]
    inside = (turn >= 0) & (since_ns > 50e6) & (since_ns < (TURN_S - 0.05) * 1e9)
    latency_us = (batches["completed_ns"] - batches["oldest_ns"]) / 1e3
    print("sampler   queries      mean     p50      p90      p99    p99.9      max (us)")
    for name, parity in (("halted", 0), ("at work", 1)):
        found = latency_us[inside & (turn % 2 == parity)]
        cells = [found.mean(), *np.percentile(found, [50, 90, 99, 99.9, 100])]
        print(f"{name:8} {len(found):8,} " + " ".join(f"{cell:8.1f}" for cell in cells))


def ask() -> None:
    """Print what each question takes."""
    try:
        with nvml.open_nvml() as library:
            handle = library.handles()[0]
            for name, arguments in QUESTIONS.items():
                took_us = []
                for _ in range(TIMES):
                    start_ns = time.perf_counter_ns()
                    library.ask(name.split(" ")[0], handle, *arguments)
                    took_us.append((time.perf_counter_ns() - start_ns) / 1e3)
                    time.sleep(0.002)
                p50, most = np.percentile(took_us, [50, 100])
                print(f"{name:40} p50 {p50:8.1f} us, at most {most:8.1f} us")
    except nvml.NvmlError as error:
        print(f"no GPU to ask: {error}")


if __name__ == "__main__":
    sys.exit(tidy(main))
