"""`sut audit`: run a compliance test and the runs that it is compared with, and verify it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data.rounds import LATEST
from data.variant import load_variant
from scenarios import scenario
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.ticker import ticking
from sut.config.system import DEFAULT_SYSTEM, system_folder
from sut.serve.workers.keeper import Keeper
from sut.submission.audit import verify
from sut.submission.compliance import TESTS, known_test
from sut.submission.order import Order, rules_for, runnable_round
from sut.submission.runs import ACCURACY, PERFORMANCE, ScenarioRuns
from sut.verbs.options import add_benchmark, add_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sut.submission.audit import Audit

EXAMPLES = """examples:
  sut audit TEST01 -b efficientnet-lite0 -s Offline --min-duration-s 10 --out audit
  sut audit TEST04 -b resnet50 -s Server --data imagenet/ --out audit
If the folder has no performance and accuracy run to compare with, they run first. The next test
uses them again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument("test", metavar="TEST", help=" or ".join(TESTS))
    add_benchmark(parser)
    parser.add_argument("-s", "--scenario", required=True, help="one of LoadGen's scenarios")
    add_options(parser, "--system")
    parser.add_argument("--round", default=LATEST, help=f"MLPerf round (default: {LATEST})")
    parser.add_argument(
        "--stands-for", metavar="MODEL", help="the round's benchmark whose rules apply"
    )
    add_options(parser, "--model", "--pixels", "--data", "--user-conf")
    parser.add_argument(
        "--min-duration-s", type=float, metavar="S", help="shortest run (default: the round's)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Run the missing tests and verify; return 0 if the test passes, else 3."""
    test = known_test(arguments.test)
    say = sys.stderr if arguments.json else sys.stdout
    order = _order(arguments, command)
    runs = ScenarioRuns(order, order.scenarios[0], _printer(say))
    with Keeper() as keeper:
        runs.run_missing(keeper, (PERFORMANCE, ACCURACY, test))
    parts = {name: done for name in (PERFORMANCE, ACCURACY, test) if (done := runs.done(name))}
    missing = [name for name in (PERFORMANCE, ACCURACY, test) if name not in parts]
    if missing:
        for name in missing:
            print(f"{name}: {' '.join(runs.reasons(name)) or 'not done'}", file=say)
        print(f"{test}: cannot be verified without {', '.join(missing)}", file=say)
        return EXIT_INVALID
    with ticking(f"verifying {test}"):
        audit = verify(test, parts, order.benchmark, order.data)
    _report(audit, parts[test].folder, as_json=arguments.json)
    return EXIT_VALID if audit.passed else EXIT_INVALID


def _printer(stream: object) -> Callable[[str], None]:
    return lambda line: print(line, file=stream, flush=True)  # type: ignore[call-overload]  # a text stream


def _report(audit: Audit, folder: Path, *, as_json: bool) -> None:
    if as_json:
        content = {
            "test": audit.test,
            "passed": audit.passed,
            "performance_passed": audit.performance.passed,
            "accuracy_passed": None if audit.accuracy is None else audit.accuracy.passed,
            "delta_percent": audit.delta_percent,
            "notes": audit.notes,
            "folder": str(folder),
        }
        print(json.dumps(content, indent=2))
        return
    for verdict in (audit.accuracy, audit.performance):
        if verdict is not None:
            print(verdict.text.strip())
    for note in audit.notes:
        print(note)
    print(f"{audit.test}: {'passed' if audit.passed else 'FAILED'}; see {folder}")


def _order(arguments: argparse.Namespace, command: str) -> Order:
    round_ = runnable_round(arguments.round)
    benchmark = load_variant(arguments.benchmark, pixels=arguments.pixels)
    folder = system_folder(arguments.system or DEFAULT_SYSTEM)
    return Order(
        round=round_,
        division=None,
        submitter="",
        benchmark=benchmark,
        rules=rules_for(round_, benchmark, "open", arguments.stands_for),
        system_name=folder.name,
        system_folder=folder,
        system={},
        scenarios=(scenario(arguments.scenario).name,),
        tree=arguments.out,
        work=arguments.out,
        model=arguments.model,
        pixels=arguments.pixels,
        data=arguments.data,
        user_conf=arguments.user_conf,
        min_duration_s=arguments.min_duration_s,
        command=command,
    )
