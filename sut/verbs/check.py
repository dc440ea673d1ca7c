"""`sut check`: everything that is wrong with a submission's tree, each with its remedy."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.submission.check import check

if TYPE_CHECKING:
    import argparse

EXAMPLES = """examples:
  sut check submission
  sut check inference_results_v0.5 --submitter DellEMC --json
  sut check submission --originals submission-runs/full      # verifies the hashes, too
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("tree", type=Path, metavar="TREE", help="the folder of closed/ and open/")
    parser.add_argument("--round", help="such as v6.1 (default: the one whose seeds the logs have)")
    parser.add_argument("--submitter", metavar="NAME", help="check this submitter alone")
    parser.add_argument(
        "--originals", type=Path, metavar="DIR", help="runs with whole accuracy logs, by system"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the findings; return 0 if none forbids a submission, else 3."""
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
        print(
            f"Results={report.results} by the rules of {report.round}: {report.errors} errors, "
            f"{warnings} warnings"
        )
    return EXIT_INVALID if report.errors else EXIT_VALID
