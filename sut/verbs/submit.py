"""`sut submit`: run the missing tests of a submission, verify them, and write its tree."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from data.rounds import LATEST
from data.variant import load_variant
from scenarios import scenario
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.config.system import DEFAULT_SYSTEM, system_folder
from sut.submission import system as system_json
from sut.submission.network import OF_PERSON
from sut.submission.order import Order, rules_for, runnable_round, scenarios_for
from sut.submission.submit import submit
from sut.verbs.options import add_benchmark, add_options

if TYPE_CHECKING:
    import argparse

    from scenarios.base import Metric
    from sut.submission.submit import Outcome

EXAMPLES = """examples:
  sut doctor --write-system my_server     # then fill in the blank fields of its system.json
  sut submit -b resnet50 --division closed --submitter Acme --system my_server --data imagenet/ \\
      --out submission
  sut submit -b efficientnet-lite0 --division open --submitter Acme --fast --out layout
  sut submit -b resnet50 --division network --submitter Acme --system my_server --data imagenet/ \\
      --cluster my_cluster.yaml --network raw --out submission
"""
# A name becomes a folder. The checkers refuse spaces and hidden names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    add_benchmark(parser)
    parser.add_argument(
        "-s", "--scenario", default="", help="one or more (default: all that the round requires)"
    )
    parser.add_argument("--division", required=True, choices=["closed", "network", "open"])
    parser.add_argument("--submitter", required=True, metavar="NAME", help="your organization")
    add_options(parser, "--system")
    parser.add_argument("--round", default=LATEST, help=f"MLPerf round (default: {LATEST})")
    parser.add_argument("--out", type=Path, required=True, metavar="TREE", help="folder to submit")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="folder of the runs (default: TREE-runs)"
    )
    parser.add_argument(
        "--stands-for",
        metavar="MODEL",
        help="the round's benchmark to compare with; closed: one of the benchmark's names",
    )
    add_options(parser, "--model", "--pixels", "--data", "--user-conf", "--cluster", "--network")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="open: runs of a few seconds that only prove the layout; they are INVALID",
    )
    parser.add_argument(
        "--small-data",
        action="store_true",
        help="open: state the round's sample counts although the data set is smaller",
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Make or complete the submission; return the exit code."""
    order = _order(arguments, command)
    say = sys.stderr if arguments.json else sys.stdout
    outcomes = submit(order, lambda line: print(line, file=say, flush=True))
    report(order, outcomes, as_json=arguments.json)
    complete = set(order.required) <= {o.scenario for o in outcomes if o.placed} or not order.closed
    good = complete and all(outcome.placed for outcome in outcomes) and not order.fast
    return EXIT_VALID if good else EXIT_INVALID


def report(order: Order, outcomes: list[Outcome], *, as_json: bool) -> None:
    """Print which scenarios are in the tree, and which are missing."""
    placed = [outcome.scenario for outcome in outcomes if outcome.placed]
    missing = [name for name in order.required if name not in placed] if order.closed else []
    if as_json:
        content = {
            "tree": str(order.tree),
            "round": order.round.name,
            "division": order.division,
            "fast": order.fast,
            "results": len(placed),
            "missing": missing,
            "scenarios": [asdict(outcome) for outcome in outcomes],
        }
        print(json.dumps(content, indent=2))
        return
    for outcome in outcomes:
        state = "in the tree" if outcome.placed else "not in the tree"
        print(f"{outcome.scenario + ':':13} {state}  {_figure(outcome.metric)}".rstrip())
        for problem in outcome.problems:
            print(f"              {problem}")
    if missing:
        print(f"Missing for {order.division}: {', '.join(missing)}")
    if order.fast:
        print("LAYOUT ONLY (--fast): these runs are too short to be VALID. Never submit them.")
    print(f"Results={len(placed)} in {order.tree}; the runs, with whole logs, in {order.work}")
    print(f"Next: sut check {order.tree}")


def _figure(metric: Metric | None) -> str:
    return "" if metric is None else f"{metric.name} = {metric.value:g} {metric.unit}"


def _order(arguments: argparse.Namespace, command: str) -> Order:
    round_ = runnable_round(arguments.round)
    _check_options(arguments)
    benchmark = load_variant(arguments.benchmark, pixels=arguments.pixels)
    rules = rules_for(round_, benchmark, arguments.division, arguments.stands_for)
    name = arguments.system or DEFAULT_SYSTEM
    folder = system_folder(name)
    needed = OF_PERSON if arguments.network else ()
    description = system_json.load(folder, folder.name, fast=arguments.fast, more=needed)
    asked = tuple(scenario(s.strip()).name for s in arguments.scenario.split(",") if s.strip())
    return Order(
        round=round_,
        division=arguments.division,
        submitter=arguments.submitter,
        benchmark=benchmark,
        rules=rules,
        system_name=folder.name,
        system_folder=folder,
        system=description,
        scenarios=scenarios_for(rules, description, arguments.division, asked),
        tree=arguments.out,
        work=arguments.work or arguments.out.with_name(arguments.out.name + "-runs"),
        fast=arguments.fast,
        small_data=arguments.small_data,
        model=arguments.model,
        pixels=arguments.pixels,
        data=arguments.data,
        user_conf=arguments.user_conf,
        command=command,
        cluster=arguments.cluster,
        network=arguments.network,
    )


def _check_options(arguments: argparse.Namespace) -> None:
    for option in ("fast", "small_data"):
        if getattr(arguments, option) and arguments.division != "open":
            raise ConfigError(
                f"--{option.replace('_', '-')}: nothing of the {arguments.division} division can "
                "be made with it. Use --division open."
            )
    if (arguments.division == "network") != bool(arguments.network) and (
        arguments.division != "open"
    ):
        raise ConfigError(
            "--network: it belongs to --division network, or open: the samples of a closed "
            "submission do not travel, and those of the network division do."
        )
    if not _NAME.fullmatch(arguments.submitter):
        raise ConfigError(
            f'--submitter: "{arguments.submitter}" becomes a folder; expected letters, digits and '
            "`. _ + -`, beginning with a letter or digit."
        )
