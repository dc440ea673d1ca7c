"""The options of `sut tune`, and the job that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scenarios import scenario
from scenarios.rounds import rules
from sut.base.errors import ConfigError
from sut.config import constraints
from sut.run.figures import has_telemetry
from sut.tuner.job import Bound, Job
from sut.tuner.session import SEARCHES
from sut.tuner.space import space_of
from sut.verbs.options import add_benchmark, add_options, varied

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sut.config.constraints import Constraint
    from sut.config.plan import Plan

OFFICIAL_S = 600.0
_CONFIRM_S = 60.0
_EVEN = 0.5
MS = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sut tune`."""
    what = parser.add_argument_group("what")
    add_benchmark(what)
    what.add_argument("-s", "--scenario", required=True, help="one of LoadGen's scenarios")
    add_options(
        what, "--system", "--backend", "--model", "--pixels", "--data", "--devices", "--cluster"
    )
    what.add_argument(
        "--round", default="current", help="MLPerf's rules: current or v0.5 (default: current)"
    )
    what.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder (default: runs/tune-SYSTEM-BENCHMARK-SCENARIO)",
    )
    what.add_argument(
        "--fresh", action="store_true", help="start again, and keep the old folder beside the new"
    )
    what.add_argument(
        "--dry-run", action="store_true", help="only report; do not change user_confs/"
    )
    aim = parser.add_argument_group("aim")
    aim.add_argument(
        "--objective", default="throughput", help="figure to optimize (default: throughput)"
    )
    aim.add_argument(
        "--subject-to",
        action="append",
        default=[],
        metavar='"p99<=15ms"',
        help="a constraint in addition to LoadGen's bound; may be repeated",
    )
    aim.add_argument(
        "--target-latency-ms", type=float, metavar="L", help="Server: the latency bound"
    )
    aim.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="C",
        help="that the next run is VALID (default: 0.95)",
    )
    _add_search_options(parser.add_argument_group("how"))
    fixed = parser.add_argument_group("fixed: a value given here does not vary")
    add_options(fixed, "--workers", "--instances", "--max-batch-size", "--max-queue-delay-us")
    add_options(fixed, "--slots", "--postprocess-threads", "--set")


def _add_search_options(how: argparse._ArgumentGroup) -> None:
    how.add_argument(
        "--search", choices=SEARCHES, default="model", help="how to search (default: model)"
    )
    how.add_argument(
        "--vary", action="append", default=[], metavar="KEY=V1,V2",
        help="values to try for a backend option or for instances; may be repeated",
    )  # fmt: skip
    how.add_argument(
        "--probe-s", type=float, default=10.0, metavar="S", help="length of a probe (10)"
    )
    how.add_argument(
        "--confirm-s", type=float, metavar="S", help="length of a confirmation run (60)"
    )
    how.add_argument(
        "--confirm-runs", type=int, default=3, metavar="K", help="VALID runs in a row (3)"
    )
    how.add_argument(
        "--official", action="store_true", help=f"confirm with runs of {OFFICIAL_S:g} s"
    )
    how.add_argument(
        "--quiet-s", type=float, default=30.0, metavar="S",
        help="wait up to this long before a measurement for other processes to be quiet (30)",
    )  # fmt: skip
    how.add_argument("--batches", metavar="26,32,40", help="try only these batch sizes")
    how.add_argument("--largest-batch", type=int, metavar="B", help="try no larger batch")


def job_of(arguments: argparse.Namespace, plan: Plan) -> Job:
    """Return what is to be tuned.

    Raises:
        ConfigError: something cannot be searched, or its constraint not checked.
    """
    asked = constraints.parse(arguments.subject_to)
    _check(arguments, plan, asked)
    bounds, budget = _bounds(arguments, plan, asked)
    largest = [int(c.limit) for c in asked if c.name == "batch" and c.at_most]
    largest += [arguments.largest_batch] if arguments.largest_batch is not None else []
    space = space_of(
        plan,
        _sizes(arguments.batches),
        min(largest, default=None),
        varied(arguments.vary),
        has_budget=budget is not None,
    )
    return Job(
        scenario=plan.scenario,
        bounds=bounds,
        budget=budget,
        space=space,
        constraints=asked,
        probe_s=arguments.probe_s,
        confirm_s=arguments.confirm_s or (OFFICIAL_S if arguments.official else _CONFIRM_S),
        confirm_runs=arguments.confirm_runs,
        confidence=arguments.confidence,
    )


def _check(arguments: argparse.Namespace, plan: Plan, asked: Sequence[Constraint]) -> None:
    """Refuse what cannot be searched or checked, before anything runs."""
    constraints.check(asked, bool(asked) and has_telemetry(plan))
    objective = constraints.objective(arguments.objective)
    natural = scenario(plan.scenario).objective
    is_default = objective == "throughput" and natural == "latency"
    if (objective == "throughput") != (natural == "throughput") and not is_default:
        raise ConfigError(
            f"--objective {objective}: {plan.scenario} is tuned for {natural}. Bound a latency "
            f"with --subject-to, {constraints.EXAMPLE}."
        )
    for option in ("probe_s", "confirm_runs"):
        if getattr(arguments, option) <= 0:
            raise ConfigError(f"--{option.replace('_', '-')} must be above 0.")
    if not _EVEN <= arguments.confidence < 1:
        raise ConfigError(
            f"--confidence is {arguments.confidence:g}; expected 0.5 to below 1, such as 0.95."
        )


def _bounds(
    arguments: argparse.Namespace, plan: Plan, asked: Sequence[Constraint]
) -> tuple[tuple[Bound, ...], Bound | None]:
    """Return the bounds on latencies of a run, and the one on the time of a batch alone."""
    found = scenario(plan.scenario)
    limits: dict[str, float] = {}
    for c in asked:
        if c.name in constraints.LATENCIES and c.at_most:
            limits[c.name] = min(c.limit, limits.get(c.name, c.limit))
    users = tuple(Bound(name, limit) for name, limit in limits.items())
    if found.has_bound:
        own = _own_bound(arguments, plan)
        return (own, *(b for b in users if b.name != own.name or b.limit_ns < own.limit_ns)), None
    if found.objective == "latency" or not users:
        return users, None
    if len(users) > 1:
        raise ConfigError(
            f"--subject-to: {len(users)} bounds on latencies; expected one for {plan.scenario}, "
            f"where it is for the time of a batch alone, {constraints.EXAMPLE}."
        )
    return (), users[0]


def _own_bound(arguments: argparse.Namespace, plan: Plan) -> Bound:
    """Return LoadGen's own bound: the command line's, user.conf's or the benchmark's."""
    found = plan.loadgen_settings(1)
    share = rules(plan.arguments.round, plan.scenario).percentile or 0.99
    percent = found.get("target_latency_percentile")
    if percent is not None:
        share = float(str(percent.value)) / 100
    name = f"p{share * 100:g}".replace(".", "")
    if name not in constraints.LATENCIES:
        raise ConfigError(
            f"{plan.benchmark.name} bounds the {share:.1%} latency; the tuner knows "
            f"{', '.join(constraints.LATENCIES)}."
        )
    limit_ms = arguments.target_latency_ms
    if limit_ms is None and "target_latency" in found:
        limit_ms = float(str(found["target_latency"].value))
    if limit_ms is None:
        raise ConfigError(
            f"{plan.benchmark.name} has no latency bound for {plan.scenario}. Name one: "
            "--target-latency-ms 100."
        )
    return Bound(name, limit_ms * MS, share)


def _sizes(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f'--batches: "{text}"; expected batch sizes with commas, such as 26,32.')
    return tuple(sorted({int(part) for part in parts}))
