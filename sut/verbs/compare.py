"""`sut compare`: what differs between two results, and whether that is more than noise."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.files import not_writable, write_whole
from sut.report import compare_page, compare_text, page
from sut.report.compare import compare, gate
from sut.report.compare_sources import RATE, read_side
from sut.report.compare_statistics import ASSUMED_SPREAD

if TYPE_CHECKING:
    from sut.report.compare_sources import Measured

EXAMPLES = """examples:
  sut compare runs/before runs/after
  sut compare before-1,before-2,before-3 after-1,after-2,after-3 --min-ratio 0.97
  sut compare sweep-a sweep-b --metric latency_p99_ns --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    for side in ("A", "B"):
        parser.add_argument(
            side.lower(),
            metavar=side,
            help="folder of a run, a sweep, a tuning or an import; repeats: PATH,PATH,...",
        )
    parser.add_argument("--metric", default=RATE, help=f"the figure to compare ({RATE})")
    parser.add_argument(
        "--min-ratio",
        type=_ratio,
        metavar="R",
        help="exit 3 where B is known to have less than this share of A's speed, such as 0.97",
    )
    parser.add_argument(
        "--run-to-run",
        type=_share,
        metavar="S",
        help="deviation between runs of one setting where it is not measured, as a share "
        f"({ASSUMED_SPREAD:g})",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page there")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the comparison; return 3 if the gate fails."""
    a, b = read_side(arguments.a), read_side(arguments.b)
    if (out := arguments.html) is not None:
        page.check_place(out, "--html")
    found = compare(a, b, arguments.metric, arguments.run_to_run)
    judged = None if arguments.min_ratio is None else gate(found, arguments.min_ratio)
    sides = [f"{name}: {_title(side)}" for name, side in (("A", a), ("B", b))]
    if out is not None:
        text = compare_page.html(found, judged, sides, command)
        try:
            write_whole({out: text})
        except OSError as error:
            raise not_writable(out, "--html", error) from error
    if arguments.json:
        named = {"a": _names(a), "b": _names(b)}
        print(json.dumps({**named, **compare_text.as_json(found, judged)}, indent=2))
    else:
        for line in (*sides, *compare_text.lines(found, judged)):
            print(line)
    if judged is None or judged.passed:
        return EXIT_VALID
    if arguments.json:
        print(f"sut: the gate failed: {'; '.join(judged.reasons)}", file=sys.stderr)
    return EXIT_INVALID


def _title(side: list[Measured]) -> str:
    return f"{side[0].table.title} ({', '.join(_names(side))})"


def _names(side: list[Measured]) -> list[str]:
    return [measured.where for measured in side]


def _ratio(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'"{text}"; expected a share of A, such as 0.97')
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f'"{text}"; expected a share, such as 0.01 for 1 %')
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
