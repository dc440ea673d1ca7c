"""`sut cluster scaling`: 1 to N nodes, against linear, against none, and as predicted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.files import write_whole
from sut.config.plan import resolve
from sut.config.prepare import prepared_samples, resolve_workload
from sut.run.live import Screen
from sut.serve.workers.keeper import Keeper
from sut.sweep.points import integers
from sut.sweep.runner import Runner
from sut.sweep.scaling.judge import steps
from sut.sweep.scaling.parts import Part, check_steps, default_steps, most_nodes
from sut.sweep.scaling.run import measure, predictions
from sut.sweep.session import Session
from sut.verbs import console, continuing, sweep_options
from sut.verbs.console import counted
from sut.verbs.options import add_benchmark, add_options, as_arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.config.plan import Plan
    from sut.config.workload import Workload
    from sut.sweep.scaling.judge import Step

EXAMPLES = """examples:
  sut cluster scaling -b resnet50 --system r740_4xt4 --cluster cluster.yaml
  sut cluster scaling -b resnet50 --system r740_4xt4 --steps 1,2,4     # without nodes: devices
What it measures, and how it is predicted: docs/scale.md.
"""
SCALING_JSON, SCALING_MD = "scaling.json", "scaling.md"
HEADER = (
    "nodes", "workers", "samples/s", "of linear", "predicted", "of local", "at a rate",
    "p99, ms", "predicted, ms", "added by the wire, ms", "what stops it",
)  # fmt: skip
_MS = 1e6
_INDEX_AND_RECORD_BYTES = 8.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    add_benchmark(parser)
    add_options(
        parser, "--system", "--backend", "--devices", "--cluster", "--model", "--pixels", "--data"
    )
    add_options(parser, "--max-batch-size", "--slots", "--set")
    parser.add_argument(
        "--steps", metavar="1,2,4", help="numbers of nodes; without a cluster, of devices (1, 2, "
        "4 and so on, and all)",
    )  # fmt: skip
    parser.add_argument(
        "--share", type=float, default=0.8, metavar="S",
        help="the rate of the random arrivals, as a share of what one node does (0.8)",
    )  # fmt: skip
    parser.add_argument(
        "--gbit", type=float, metavar="G", help="connection of this machine in Gb/s"
    )
    parser.add_argument(
        "--sample-bytes", type=float, default=_INDEX_AND_RECORD_BYTES, metavar="B",
        help=f"that travel for a sample, there and back ({_INDEX_AND_RECORD_BYTES:g})",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder (runs/scaling-SYSTEM-BENCHMARK)"
    )
    parser.add_argument("--fresh", action="store_true", help="start again, in a new folder")
    window = parser.add_argument_group("how long a point is measured")
    sweep_options.add_window_options(window)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Measure; return the exit code: 3 if a point could not be measured."""
    rule = sweep_options.rule_of(arguments)
    if not 0 < arguments.share < 1:
        raise ConfigError(f"--share is {arguments.share:g}; expected a number between 0 and 1.")
    full_plan = resolve(as_arguments(arguments, "Offline"))
    rate_plan = resolve(as_arguments(arguments, "Server"))
    most = most_nodes(full_plan)
    counts = integers("--steps", arguments.steps) if arguments.steps else default_steps(most)
    check_steps(counts, most)
    parts = [Part.of(nodes, full_plan, rate_plan) for nodes in sorted(counts)]
    say = console.sayer(as_json=arguments.json)
    folder = arguments.out or _default_out(full_plan)
    with continuing.claimed(folder, fresh=arguments.fresh, say=say):
        session = Session(folder, continuing.settings(arguments, full_plan, {"gbit"}), say)
        session.open()
        workload = _workload(full_plan)
        say(f"scaling {_title(full_plan)}: {len(parts)} steps; everything is in {folder}")
        with Keeper() as keeper:
            runner = Runner(folder, keeper, rule, Screen())
            found = measure(session, runner, parts, workload, arguments.share)
        result = steps(
            [measured.row for _, measured in found],
            {part.nodes: part.workers for part in parts},
            predictions(folder, parts, found),
            arguments.sample_bytes,
            arguments.gbit,
        )
        title = _title(full_plan)
        text = json.dumps(
            {"command": command, "title": title, "steps": [_json(step) for step in result]},
            indent=2,
        )
        page = f"# Scaling: {title}\n\n`{command}`\n\n{_markdown(result)}"
        write_whole({folder / SCALING_JSON: f"{text}\n", folder / SCALING_MD: page})
    say(_table(result))
    if arguments.json:
        print(text)
    failed = any(measured.row.problem for _, measured in found)
    return EXIT_INVALID if failed else EXIT_VALID


def _workload(plan: Plan) -> Workload:
    arguments, backend = plan.arguments, plan.harness.backend
    found = resolve_workload(plan.benchmark, backend, arguments.model)
    if backend in WITHOUT_MODEL:
        return found.with_samples(None)
    return found.with_samples(prepared_samples(plan.benchmark, arguments.data))


def _title(plan: Plan) -> str:
    return f"{plan.benchmark.name} on {plan.system}, {plan.harness.backend}"


def _default_out(plan: Plan) -> Path:
    return Path("runs") / f"scaling-{Path(plan.system).name}-{plan.benchmark.name}"


def _table(result: Sequence[Step]) -> str:
    lines = [console.table([_cells(step) for step in result], HEADER)]
    lines += [f"{counted(step.nodes, 'node')}: ! {mark}" for step in result for mark in step.marks]
    return "\n".join(lines)


def _markdown(result: Sequence[Step]) -> str:
    rows = [HEADER, ("---",) * len(HEADER), *map(_cells, result)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines += [f"- {counted(step.nodes, 'node')}: {mark}" for step in result for mark in step.marks]
    return "\n".join(lines) + "\n"


def _cells(step: Step) -> tuple[str, ...]:
    def shown_as(value: float | None, form: str, unit: float = 1.0) -> str:
        return "" if value is None else f"{value / unit:{form}}"

    return (
        str(step.nodes),
        str(step.workers),
        shown_as(step.rate, ",.0f"),
        shown_as(step.linear, ".3f"),
        shown_as(step.predicted_rate, ",.0f"),
        shown_as(step.local, ".3f"),
        shown_as(step.qps, ",.6g"),
        shown_as(step.p99_ns, ".2f", _MS),
        shown_as(step.predicted_p99_ns, ".2f", _MS),
        shown_as(step.added_ns, "+.2f", _MS),
        step.stop,
    )


def _json(step: Step) -> dict[str, object]:
    """Return a step; what is not known is absent."""
    found = {key: value for key, value in asdict(step).items() if value is not None}
    return {**found, "stop": step.stop}
