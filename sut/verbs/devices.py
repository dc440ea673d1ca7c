"""`sut devices`: one model on the CPU and every GPU, in several precisions, as one table."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import EXIT_FAILED, EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.files import write_whole
from sut.config.plan import resolve
from sut.record.table import place
from sut.report.roofline import roofline_svg
from sut.sweep.devices import text
from sut.sweep.devices.bench import Bench
from sut.sweep.devices.plan import Planner, chosen, devices_here
from sut.sweep.devices.session import TABLE_MD, Session
from sut.sweep.devices.starts import Starts
from sut.sweep.devices.timing import RULE
from sut.sweep.devices.ways import AS_IS, check_precisions
from sut.sweep.points import EXAMPLE, integers
from sut.verbs import console, continuing
from sut.verbs.console import counted
from sut.verbs.options import add_benchmark, add_options, as_arguments, out_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.record.table import Table
    from sut.sweep.devices.plan import Point
    from sut.sweep.steady import Rule

EXAMPLES = """examples:
  sut devices -b efficientnet-lite0
  sut devices -b efficientnet-lite0 --precision fp32,fp16,int8 --batches 1,8,32
  sut devices -b efficientnet-lite0 --devices 0,1 --backend torch --precision fp32,tf32,bf16,fp16
  sut devices -b efficientnet-lite0 --precision fp32,bf16,fp8 --dry-run
What is measured, and how: docs/devices.md.
"""
ROOFLINE = "roofline.svg"
BATCHES, REPEATS, ANSWERS = "1,8,32", 3, 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what")
    add_benchmark(what)
    add_options(what, "--model", "--pixels", "--data", "--system", "--backend")
    what.add_argument(
        "--devices",
        metavar="cpu,0",
        help="devices to compare (default: the system's, or the CPU and every GPU)",
    )
    what.add_argument(
        "--precision", default=AS_IS, metavar="P,Q",
        help="fp32, tf32, bf16, fp16, int8, fp8, fp4; one that a device has not is refused (fp32)",
    )  # fmt: skip
    what.add_argument(
        "--batches", default=BATCHES, metavar="RANGE", help=f"batch sizes: {EXAMPLE} ({BATCHES})"
    )
    add_options(what, "--set")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--repeats", type=int, default=REPEATS, metavar="N",
        help=f"processes for each row, one after a round of all others ({REPEATS})",
    )  # fmt: skip
    how.add_argument(
        "--accuracy-samples", type=int, default=ANSWERS, metavar="N",
        help=f"samples for the accuracy of each row ({ANSWERS}); 0: none",
    )  # fmt: skip
    for name, value, words in (
        ("spread", RULE.latency_spread, "95 %% interval of a batch's time, at most, as a share"),
        ("least-s", RULE.least_s, "time batches for no shorter"),
        ("limit-s", RULE.limit_s, "and no longer, even if they are not steady then"),
    ):
        how.add_argument(
            f"--{name}", type=float, default=value, metavar="X", help=f"{words} ({value:g})"
        )
    how.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (default: runs/TIME-devices-NAME)"
    )
    how.add_argument(
        "--dry-run", action="store_true", help="only list the rows, and what is known before"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Compare; return the exit code: 3 if a row that is not refused has no figures."""
    rule = _rule(arguments)
    precisions = arguments.precision.split(",")
    check_precisions(precisions)
    batches = integers("--batches", arguments.batches)
    asked = as_arguments(arguments, "Offline")
    names = asked.devices
    if names is None and asked.system is not None:
        names = resolve(asked).harness.devices
    planner = Planner(asked, chosen(names, devices_here()), precisions, batches)
    points = planner.points()
    say = console.sayer(as_json=arguments.json)
    if arguments.dry_run:
        _list(points, say)
        return EXIT_VALID
    benchmark = planner.benchmark.name
    with (
        out_folder(arguments.out, f"devices-{benchmark}") as folder,
        continuing.claimed(folder, say=say, continues=False),
        Starts(say) as starts,
    ):
        bench = Bench(folder, planner.workload, rule, arguments.accuracy_samples, starts)
        count = len({point.device.name for point in points})
        title = f"{benchmark} on {counted(count, 'device')}"
        say(f"{title}: {counted(len(points), 'row')}; everything is in {folder}")
        session = Session(folder, title, command, planner, bench, say)
        table = session.run(points, arguments.repeats)
        if picture := roofline_svg(table.rows):
            write_whole({folder / ROOFLINE: picture})
    _tell(table, say)
    say(f"Table: {folder / TABLE_MD}; a page with charts: sut report {folder}")
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(table), indent=1))
    return _code(table)


def _rule(arguments: argparse.Namespace) -> Rule:
    """Return how long batches are timed.

    Raises:
        ConfigError: a value is out of range.
    """
    for name in ("spread", "limit_s"):
        if not 0 < getattr(arguments, name) < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {getattr(arguments, name):g}; expected more than 0.")
    if not 0 <= arguments.least_s <= arguments.limit_s:
        raise ConfigError(
            f"--least-s is {arguments.least_s:g}; expected 0 to --limit-s, {arguments.limit_s:g}."
        )
    for name, least in (("repeats", 1), ("accuracy_samples", 0)):
        if (value := getattr(arguments, name)) < least:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {value}; expected {least} or more.")
    return replace(
        RULE,
        latency_spread=arguments.spread,
        spread=arguments.spread,
        least_s=arguments.least_s,
        limit_s=arguments.limit_s,
    )


def _list(points: Sequence[Point], say: Callable[[str], None]) -> None:
    for point in points:
        known = f"refused: {point.way.refused}" if point.way.refused else point.way.label
        product = point.device.product or "nobody knows it"
        say(f"{place(point.place)}: {point.backend} on {product}{known and f'; {known}'}")


def _tell(table: Table, say: Callable[[str], None]) -> None:
    """Print the differences of the devices first, then the tables."""
    if different := text.differences(table):
        say("\nIn what the devices differ")
        lines = [[name, *values.values()] for name, values in different]
        say(console.table(lines, ["", *different[0][1]]))
    for title, header, lines in text.tables(table):
        say(f"\n{title}")
        say(console.table(lines, header))
    for note in text.notes(table):
        say(f"  {note}")


def _code(table: Table) -> int:
    """Return the exit code; a refused row is an answer, and not a failure."""
    failed = [r for r in table.rows if r.problem and not r.problem.startswith("refused")]
    if all(row.problem for row in table.rows):
        return EXIT_FAILED
    return EXIT_INVALID if failed else EXIT_VALID
