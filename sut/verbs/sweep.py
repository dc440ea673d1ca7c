"""`sut sweep`: a load over a range of values and settings, as a table that checks itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.progress import duration
from sut.record.table import encode, place
from sut.run.live import Screen
from sut.serve.workers.keeper import Keeper
from sut.sweep.accuracy import WithAccuracy, judge_in
from sut.sweep.budgets import RATE, by_setting, knee
from sut.sweep.files import TABLE_MD, Files
from sut.sweep.plan import Planner
from sut.sweep.runner import Runner
from sut.sweep.session import USUAL_S, Session
from sut.verbs import console, continuing, study, sweep_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sut.config.plan import Plan
    from sut.record.table import Row, Table, Value
    from sut.sweep.plan import Sweep
    from sut.sweep.runner import Measured
    from sut.sweep.steady import Rule
    from sut.sweep.task import Task

EXAMPLES = """examples:
  sut sweep -b efficientnet-lite0 --load offline --batches 1:32:x2
  sut sweep -b efficientnet-lite0 --load closed --concurrency 8:256:8 --request-batch 16
  sut sweep -b resnet50 --system r740_4xt4 --load poisson --qps 1000:16000:x2 --slots 4,8
  sut sweep -b efficientnet-lite0 --precision fp32,int8 --batches 1,8,32 --dry-run
  sut sweep --plan experiments/tft.yaml
After an interrupt, the same command continues where it stopped. The rules are in docs/sweeps.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    sweep_options.add_arguments(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Sweep; return the exit code: 3 if a point could not be measured."""
    if arguments.plan is not None:
        return study.main(arguments, command)
    if arguments.benchmark is None:
        raise ConfigError("-b: no benchmark; expected -b NAME, or --plan FILE.")
    rule = sweep_options.rule_of(arguments)
    sweep = sweep_options.sweep_of(arguments)
    planner = Planner(sweep)
    plan = planner.checked()[0][1]
    say = console.sayer(as_json=arguments.json)
    if arguments.dry_run:
        _list(sweep, rule, say)
        return EXIT_VALID
    folder = arguments.out or _default_out(plan, sweep)
    title = f"{plan.benchmark.name} on {plan.system}, {sweep.load.kind}"
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        session = Session(folder, continuing.settings(arguments, plan, {"columns"}), say)
        session.open()
        tasks = planner.tasks()
        say(f"sweeping {title}: {len(tasks)} points; everything is in {folder}")
        files = Files(folder, arguments.columns, rule, title, command, planner.identity)
        with Keeper() as keeper:
            runner = Runner(folder, keeper, rule, Screen(), tolerate_loss=arguments.tolerate_loss)
            measure: Callable[[Task], Measured] = runner.measure
            if arguments.accuracy:
                measure = WithAccuracy(measure, judge_in(folder, keeper, command))
            found = session.run(tasks, measure, files.write)
    table = files.table(found)
    for setting, part in by_setting(table):
        say(knee_line(setting, part))
    say(f"Table: {folder / TABLE_MD}")
    if arguments.json:
        print(encode(table).decode(), end="")
    return EXIT_INVALID if any(row.problem for row in table.rows) else EXIT_VALID


def _list(sweep: Sweep, rule: Rule, say: Callable[[str], None]) -> None:
    points = sweep.points
    for point in points:
        say(place(point))
    usual, most = USUAL_S * len(points), (USUAL_S + rule.limit_s) * len(points)
    say(f"{len(points)} points, about {duration(usual)}, at most about {duration(most)}")


def _default_out(plan: Plan, sweep: Sweep) -> Path:
    system = Path(plan.system).name
    return Path("runs") / f"sweep-{system}-{plan.benchmark.name}-{sweep.load.kind}"


def knee_line(setting: Mapping[str, Value], table: Table) -> str:
    """Return the knee of one setting, and the peak."""
    name = f"{place(setting)}: " if setting else ""

    def load(row: Row) -> str:
        return place({axis: v for axis, v in row.point.items() if axis not in setting})

    found = knee(table)
    if found is None:
        return f"{name}no point was measured"
    peak = max(table.rows, key=lambda row: row.figures.get(RATE, 0.0))
    return (
        f"{name}knee at {load(found)}: {found.figures[RATE]:,.6g} samples/s; peak "
        f"{peak.figures[RATE]:,.6g} at {load(peak)}"
    )
