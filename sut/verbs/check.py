"""`sut check`: everything that is wrong with the tree of a submission, with remedies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.ticker import ticking
from sut.submission.check import check

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut check submission
  sut check inference_results_v0.5 --submitter DellEMC --json
  sut check submission --originals submission-runs/full      # also verifies the hashes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "tree", type=Path, metavar="TREE", help="folder that holds closed/ and open/"
    )
    parser.add_argument("--round", help="MLPerf round (default: by the seeds in the logs)")
    parser.add_argument("--submitter", metavar="NAME", help="check only this submitter")
    parser.add_argument(
        "--originals", type=Path, metavar="DIR", help="folder of the runs with whole accuracy logs"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the findings; return 0 if none forbids a submission, else 3."""
    with ticking("checking"):
        report = check(
            arguments.tree,
            arguments.round,
            submitter=arguments.submitter,
            originals=arguments.originals,
        )
    if arguments.json:
        print(json.dumps({**asdict(report), "errors": report.errors}, indent=2))
    else:
        for finding in report.findings:
            print(finding)
        warnings = len(report.findings) - report.errors
        rules = f" by the rules of {report.round}" if report.round else ", no round"
        kept = f", {report.not_judged} not judged in full" if report.not_judged else ""
        print(f"Results={report.results}{rules}: {report.errors} errors, {warnings} warnings{kept}")
    return EXIT_INVALID if report.errors else EXIT_VALID
