"""`sut concurrency`: how processes, threads or streams share one device, as a table."""

from __future__ import annotations

import os
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.progress import duration
from sut.base.scheduling import crowded
from sut.config.settings import CPU
from sut.record.table import encode, place
from sut.sweep.budgets import by_setting
from sut.sweep.concurrency import act
from sut.sweep.concurrency.grid import axes_of, crowds, usual_s
from sut.sweep.concurrency.memory import Memory
from sut.sweep.concurrency.mps import check_mps
from sut.sweep.concurrency.profiler import profiler_of
from sut.sweep.concurrency.runner import Runner
from sut.sweep.files import TABLE_MD, Files
from sut.sweep.plan import Planner
from sut.sweep.session import Session
from sut.sweep.steady import Rule
from sut.sweep.tries.limit import limit_of
from sut.sweep.tries.warm import WarmStart, imports_of
from sut.telemetry import nvml, power_sources
from sut.telemetry.gpu_memory import free_bytes, is_gone
from sut.verbs import concurrency_options as options
from sut.verbs import console, continuing
from sut.verbs.sweep import knee_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from sut.config.plan import Plan
    from sut.run.nursery import Imports
    from sut.sweep.concurrency.grid import Crowd, Share
    from sut.verbs.concurrency_options import Grid

EXAMPLES = """examples:
  sut concurrency -b efficientnet-lite0 --processes 1,2,4 --batches 1,4
  sut concurrency -b resnet50 --backend tensorrt --devices 0 --processes 1,2,4,8 \\
    --batches 1,4,16 --precision fp16,fp32
  sut concurrency -b resnet50 --backend simulated --set curve=resnet50-t4 --dry-run
  sut concurrency -b resnet50 --backend torch --devices 0 --share processes,threads,streams
After an interrupt, the same command continues where it stopped. The rules are in
docs/concurrency.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    options.add_arguments(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Measure the grid; return the exit code: 3 if a point could not be measured."""
    grid = options.grid_of(arguments)
    planner = Planner(grid.sweep)
    plans = [plan for _, plan in planner.checked()]
    plan = plans[0]
    say = console.sayer(as_json=arguments.json)
    if "mps" in grid.shares:
        check_mps()
    profiler = profiler_of(arguments.profiler) if arguments.explain else None
    folder = arguments.out or _default_out(plan)
    if arguments.dry_run:
        _list(grid, planner, phases=2 if profiler else 1, say=say)
        return EXIT_VALID
    title = f"{plan.benchmark.name} on {plan.system}, shared"
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        free = {"force", "open_s"}
        session = Session(folder, continuing.settings(arguments, plan, free), say)
        session.open()
        points = crowds(planner.tasks(), grid.processes, grid.shares, grid.inflight, grid.phases)
        new = [point for point in points if session.known(point) is None]
        _introduce(new, folder, plan, grid.shares, say)
        memory = _memory(plan, grid.limit_bytes, is_off=arguments.force)
        for point in points:
            if (known := session.known(point)) is not None:
                memory.learn(point, known.row)
        rule = Rule(least_s=grid.phases.window_s, limit_s=grid.phases.window_s)
        source = "sut concurrency"
        files = Files(folder, "own", rule, title, command, planner.identity, source)
        with WarmStart(_imports(plan) if new else None, say) as warm:
            limit = partial(limit_of, grid.limit_bytes)
            runner = Runner(folder, limit, warm, grid.open_s, profiler, memory, is_gone)
            found = session.run(points, runner.measure, files.write)
    table = files.table(found)
    for setting, part in by_setting(table):
        say(knee_line(setting, part))
    say(f"Table: {folder / TABLE_MD}. A page: sut report {folder}")
    if arguments.json:
        print(encode(table).decode(), end="")
    return EXIT_INVALID if any(row.problem for row in table.rows) else EXIT_VALID


def _introduce(
    points: Sequence[Crowd],
    folder: Path,
    plan: Plan,
    shares: Sequence[Share],
    say: Callable[[str], None],
) -> None:
    """Say what comes, who tells the power, and what is wrong with it from the start."""
    usual = duration(sum(point.usual_s() for point in points))
    say(f"{len(points)} points to measure, about {usual}; everything is in {folder}")
    if plan.harness.backend == "simulated":
        say("power from the simulated device, as its options say")
    else:
        sources = power_sources.candidates()
        on_gpus = plan.harness.devices[0].isdecimal()
        say(power_sources.choose(sources, on_gpus=on_gpus).words)
    most = max((point.workers for point in points), default=0)
    if (why := crowded(most)) is not None:
        say(f"! {why}. These rows are marked.")
    if "mps" in shares:
        say("a daemon of MPS is started for each point with share mps, and ended after it")


def _memory(plan: Plan, limit_bytes: int | None, *, is_off: bool) -> Memory:
    """Return what refuses points that cannot fit into the device's memory."""
    device = plan.harness.devices[0]
    if plan.harness.backend == "simulated":
        return Memory(is_off=True)
    if device == CPU:
        return Memory({CPU: limit_bytes or environment.memory_left_bytes()}, is_off=is_off)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    sizes = {facts.device: facts.memory_bytes for facts in nvml.all_facts(visible)[0]}
    free, size = free_bytes(device), sizes.get(device)
    if free is None or size is None:
        return Memory(is_off=True)
    return Memory({device: free}, {device: size - free}, is_off)


def _imports(plan: Plan) -> Imports | None:
    harness = plan.harness
    return imports_of(harness.backend, harness.devices[0], harness.backend_options, [act.MODULE])


def _list(grid: Grid, planner: Planner, *, phases: int, say: Callable[[str], None]) -> None:
    """List the points and their times; no model or sample is made or looked for."""
    several, settings = len(grid.shares) > 1, grid.sweep.settings
    times = []
    for share, count, (setting, plan) in product(grid.shares, grid.processes, planner.plans()):
        varied = {axis: v for axis, v in setting.items() if len(settings[axis]) > 1}
        axes = axes_of(share if several else None, varied, count)
        for batch in grid.sweep.loads["batch"]:
            times.append(phases * usual_s(plan.harness.backend, count, grid.phases))
            say(f"{place({**axes, 'batch': batch})}: about {times[-1]:.1f} s")
    most = sum(times) + phases * len(times) * grid.open_s
    say(
        f"{len(times)} points, about {duration(sum(times))} where engines were compiled before, "
        f"at most {duration(most)}"
    )


def _default_out(plan: Plan) -> Path:
    return Path("runs") / f"concurrency-{Path(plan.system).name}-{plan.benchmark.name}"
