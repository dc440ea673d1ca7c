"""A try that starts anew against one that is forked: the time until its engine is open.

Run as `python -m tests.benchmarks.warm_start [--device 0 --processes 1,8 --rounds 5]`; the two take
turns, and the first of each is left out: it compiles. On a CPU too, where the program itself never
forks a try.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sut.config.arguments import Arguments
from sut.run.nursery import Imports
from sut.sweep.fit.planner import Axes, Planner
from sut.sweep.fit.trier import ACT
from sut.sweep.tries.attempt import PROCESS, TryRequest
from sut.sweep.tries.group import MODULE, TryGroup, supervised
from sut.sweep.tries.limit import MachineLimit
from sut.sweep.tries.warm import WarmStart
from sut.telemetry.gpu_memory import is_gone
from sut.verbs.options import parse_option
from tests.tidy import tidy

if TYPE_CHECKING:
    from sut.sweep.fit.trier import Target
    from sut.sweep.tries.group import Launch

_MS = 1e3


def requests(target: Target, folder: Path, processes: int, batch: int) -> list[TryRequest]:
    """Return a try of some processes, each with a folder of its own."""
    spec = target.harness.engine(target.workload, target.device)
    options = {"graph_sizes": batch, **spec.options}
    found = []
    for number in range(processes):
        out = folder / str(number)
        out.mkdir(parents=True)
        found.append(
            TryRequest(
                str(out), target.workload, spec.backend, batch, ACT, {}, spec.device, options
            )
        )
    return found


def opened_s(made: list[TryRequest], launch: Launch, how: str) -> float:
    """Let a try run; return the time in s from its launch until all its engines are open."""
    start_s = time.monotonic()
    with TryGroup(made, MachineLimit(), None, is_gone, launch) as group:
        assert group.start(), group.outcomes()
        took_s = time.monotonic() - start_s
        for outcome in group.outcomes():
            assert outcome.facts.get(PROCESS) == how, outcome
    return took_s


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", default="resnet50-synthetic")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    typed = parser.parse_args()
    options = dict(parse_option(text) for text in typed.set)
    arguments = Arguments(
        typed.benchmark, "Offline", backend=typed.backend, devices=(typed.device,),
        backend_options=options,
    )  # fmt: skip
    [target] = Planner(arguments, Axes()).targets()
    imports = Imports(typed.backend, typed.device, options, [MODULE, ACT])
    print("| processes | anew, ms | forked, ms | anew / forked, median (range) |")
    print("| ---: | ---: | ---: | ---: |")
    with (
        tempfile.TemporaryDirectory() as folder,
        WarmStart(imports, lambda line: print(line, file=sys.stderr)) as warm,
    ):
        ways: dict[str, Launch] = {"anew": supervised, "forked": warm.launch}
        for processes in map(int, typed.processes.split(",")):
            times: dict[str, list[float]] = {how: [] for how in ways}
            for number in range(typed.rounds + 1):
                for how, launch in ways.items():
                    place = Path(folder) / f"{processes}-{number}-{how}"
                    made = requests(target, place, processes, typed.batch)
                    times[how].append(opened_s(made, launch, how))
            anew, forked = times["anew"][1:], times["forked"][1:]
            ratios = [one / other for one, other in zip(anew, forked, strict=True)]
            print(
                f"| {processes} | {statistics.median(anew) * _MS:,.0f} | "
                f"{statistics.median(forked) * _MS:,.0f} | {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}) |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))
