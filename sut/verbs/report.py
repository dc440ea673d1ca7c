"""`sut report`: one self-contained page of runs, sweeps, tunings and submissions."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_VALID, ConfigError
from sut.base.files import not_writable, write_whole
from sut.record.submitted import Submission
from sut.report import fit, page, run, study, sweep, tree, tuning
from sut.report import folder as folders
from sut.report.folder import Fit, Run, Runs, Study, Sweep, Tuning
from sut.report.picture_files import picture_files
from sut.report.section import assemble
from sut.submission.overview import is_tree, overview

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.report.folder import Found
    from sut.report.section import Section

EXAMPLES = """examples:
  sut report runs/20261128-120000-resnet50-Server        # writes report.html into that folder
  sut report sweeps/t4 sweeps/a30 --out both.html        # two tables in one page
  sut report submission --out submission.html --json
  sut report runs/concurrency-default-resnet50 --charts docs/charts
"""
PAGE = "report.html"
_KINDS = (
    "table.json (sut sweep, sut import), study.json (sut sweep --plan), report.json (sut tune), "
    "fit.json (sut fit), "
    "summary.json (sut run), folders with summary.json (several scenarios), or closed/, open/ (a "
    "submission)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="what to show, in this order"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the page (default: report.html in DIR; for a submission beside it, DIR.html)",
    )  # fmt: skip
    parser.add_argument(
        "--budgets-ms", metavar="B1,B2", type=_budgets,
        help="budgets of p99 for tables (default: those that the rows lie around)",
    )  # fmt: skip

    parser.add_argument(
        "--charts", type=Path, metavar="DIR",
        help="write every chart as an SVG file of its own, too, for documents",
    )  # fmt: skip


def main(arguments: argparse.Namespace, command: str) -> int:
    """Write the page; return 0."""
    found = [_found(path) for path in arguments.folders]
    out = _out(arguments.out, arguments.folders, found)
    sections = sections_of(found, arguments.budgets_ms or [])
    text = assemble(sections)
    charts = {} if arguments.charts is None else picture_files(sections, arguments.charts)
    try:
        write_whole({out: text})
    except OSError as error:
        raise not_writable(out, "--out", error) from error
    try:
        write_whole(charts)
    except OSError as error:
        raise not_writable(arguments.charts, "--charts", error) from error
    if arguments.json:
        parts = [{"title": section.title, **section.data} for section in sections]
        size = len(text.encode("utf-8"))
        print(json.dumps({"page": str(out), "bytes": size, "parts": parts}, indent=2))
    else:
        print(f"Report: {out}")
        if charts:
            print(f"Charts: {len(charts)} in {arguments.charts}")
    return EXIT_VALID


def sections_of(found: Sequence[Found | Submission], asked: Sequence[float]) -> list[Section]:
    """Return what a page says of folders.

    Args:
        found: what lies in them.
        asked: budgets of p99 in ms; empty: those that the rows of all tables lie around.
    """
    studies = [sweep for one in found if isinstance(one, Study) for sweep in one.sweeps]
    tables = [one.table for one in (*found, *studies) if isinstance(one, Sweep)]
    draw = partial(
        sweep.section, budgets_ms=asked or sweep.budgets_for(tables), are_asked=bool(asked)
    )
    return [section for one in found for section in _sections(one, draw)]


def _found(folder: Path) -> Found | Submission:
    found = folders.read(folder)
    if found is not None:
        return found
    if is_tree(folder):
        return overview(folder)
    raise ConfigError(f"{folder}: holds nothing to report; expected {_KINDS}.")


def _sections(found: Found | Submission, draw: Callable[[Sweep], Section]) -> list[Section]:
    match found:
        case Run():
            return [run.section(found)]
        case Runs():
            return [run.section(one) for one in found.runs]
        case Sweep():
            return [draw(found)]
        case Study():
            return [study.section(found), *map(draw, found.sweeps)]
        case Tuning():
            return [tuning.section(found.story)]
        case _:
            return [fit.section(found) if isinstance(found, Fit) else tree.section(found)]


def _out(out: Path | None, given: Sequence[Path], found: Sequence[Found | Submission]) -> Path:
    """Return where the page goes.

    Raises:
        ConfigError: several folders and no name, or a file there that no report wrote.
    """
    if out is None and len(given) > 1:
        raise ConfigError("--out: several folders need a name for their page: --out FILE.")
    if out is None:
        only = given[0].resolve()
        is_folder = not isinstance(found[0], Submission)
        # A checker refuses a tree with a file that does not belong to it.
        out = given[0] / PAGE if is_folder else only.with_name(f"{only.name}.html")
    page.check_place(out, "--out")
    return out


def _budgets(text: str) -> list[float]:
    try:
        found = sorted(float(word) for word in text.split(","))
    except ValueError:
        found = []
    if not found or not 0 < found[0] <= found[-1] < math.inf:
        raise argparse.ArgumentTypeError(f'"{text}"; expected times in ms, such as 5,10,25')
    return found
