"""`sut max-streams`: the most samples at a fixed interval whose latency is within a bound.

This is what MultiStream was until v1.1, and what cameras need. The samples come from this program's
own open-loop generator, so this is never a LoadGen result. For today's MultiStream use
`sut run -s MultiStream`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.ticker import doing, ticking
from sut.config.plan import Plan, resolve
from sut.config.prepare import prepared_workload
from sut.load.loads import LoadSpec
from sut.record.run_folder import SUMMARY_FILE, RunFolder
from sut.serve.workers.keeper import Keeper
from sut.sweep.runner import Runner
from sut.sweep.steady import Rule
from sut.sweep.task import Task
from sut.tuner.max_streams import Edge, Tried, find_edge, percentile_ns
from sut.verbs import console
from sut.verbs.console import counted
from sut.verbs.continuing import keeping
from sut.verbs.options import add_benchmark, add_options, as_arguments, out_folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload

    Send = Callable[[int], list[int]]
    Keep = Callable[[Mapping[str, object]], None]

EXAMPLES = """examples:
  sut max-streams -b resnet50 --system r740_4xt4 --interval-ms 50
  sut max-streams -b my.yaml --interval-ms 33.3 --bound-ms 100 --percentile 99
"""
MS, MS_PER_S = 1e6, 1e3
GENERATOR = "own open-loop generator; not a LoadGen result"
_PERCENT = 100.0
_LEAST_QUERIES = 20
# How long to wait for answers after the last query. A queue that grew is not waited for.
_DRAIN_INTERVALS, _LEAST_DRAIN_S = 20, 0.5
# Every query of a try counts, however steady they are.
TO_ITS_END = Rule(turn_overs=math.inf, limit_s=math.inf)
_FIRST_GUESS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    add_benchmark(parser)
    parser.add_argument(
        "--interval-ms", type=float, required=True, metavar="I", help="time between samples"
    )
    parser.add_argument(
        "--bound-ms", type=float, metavar="L", help="latency bound (default: the interval)"
    )
    parser.add_argument(
        "--percentile",
        type=float,
        default=100.0,
        metavar="P",
        help="share of samples within the bound, in percent (100)",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="length of each try (5)"
    )
    parser.add_argument(
        "--start",
        type=int,
        default=_FIRST_GUESS,
        metavar="N",
        help=f"streams of the first try ({_FIRST_GUESS})",
    )
    add_options(
        parser, "--system", "--backend", "--model", "--pixels", "--data", "--devices", "--workers"
    )
    add_options(parser, "--instances")
    parser.add_argument(
        "--max-batch-size",
        type=int,
        metavar="B",
        help="largest batch (default: each device's share of the streams)",
    )
    add_options(parser, "--slots", "--set")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder (default: runs/TIME-...)"
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Search; return the exit code: 3 if not even one stream fits."""
    _check(arguments)
    plan = resolve(as_arguments(arguments, "MultiStream"))
    plan.harness.check_options()
    bound_ms = arguments.bound_ms or arguments.interval_ms
    say = console.sayer(as_json=arguments.json)
    say(f"{plan.benchmark.name} on {plan.system}: {GENERATOR}")
    workload = prepared_workload(
        plan.benchmark, plan.harness.backend, plan.arguments.model, plan.arguments.data
    )

    def measure(send: Send, keep: Keep, streams: int) -> Tried:
        with doing(counted(streams, "stream")):
            reached_ns = percentile_ns(send(streams), arguments.percentile / _PERCENT)
        tried = Tried(streams, reached_ns, reached_ns <= bound_ms * MS)
        keep(_plain(tried))
        verdict = "fits" if tried.fits else "does not fit"
        say(f"  {counted(streams, 'stream')}: {_shown(reached_ns)} of {bound_ms:g} ms, {verdict}")
        return tried

    name = f"{plan.benchmark.name}-max-streams"
    drain_s = max(_DRAIN_INTERVALS * arguments.interval_ms / MS_PER_S, _LEAST_DRAIN_S)
    with out_folder(arguments.out, name) as out, RunFolder(out) as folder:
        with keeping(folder, say), Keeper() as keeper, ticking("working", say):
            runner = Runner(out, keeper, TO_ITS_END, None, drain_s=drain_s)
            send = _sender(arguments, plan, workload, runner)
            edge = find_edge(partial(measure, send, folder.keep), arguments.start)
        summary = _summary(arguments, plan, edge, command)
        folder.write_json(SUMMARY_FILE, summary)
    say(_line(edge, arguments.interval_ms))
    if arguments.json:
        print(json.dumps(summary, indent=2))
    return EXIT_VALID if edge.best else EXIT_INVALID


def _check(arguments: argparse.Namespace) -> None:
    for name in ("interval_ms", "bound_ms", "seconds", "start"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} is {value:g}; expected a number above 0.")
    if not 0 < arguments.percentile <= _PERCENT:
        raise ConfigError(
            f"--percentile is {arguments.percentile:g}; expected above 0 and up to 100."
        )


def _sender(arguments: argparse.Namespace, plan: Plan, workload: Workload, runner: Runner) -> Send:
    interval_s = arguments.interval_ms / MS_PER_S
    queries = max(_LEAST_QUERIES, round(arguments.seconds / interval_s))

    def send(streams: int) -> list[int]:
        is_held = isinstance(arguments.max_batch_size, int)
        own = replace(plan, harness=_shared(plan.harness, streams, is_held))
        load = LoadSpec("constant", request_batch=streams, qps=1 / interval_s, requests=queries)
        return runner.latencies_ns(Task({"streams": streams}, {}, own, workload, load))

    return send


def _shared(harness: HarnessSettings, streams: int, is_held: bool) -> HarnessSettings:
    """Let the devices share a query evenly, with one batch each."""
    if is_held:
        return harness
    workers = len(harness.devices) * harness.instances
    return replace(
        harness,
        max_batch_size=math.ceil(streams / workers),
        max_queue_delay_us=0,
        chooses_batch=False,
    )


def _summary(
    arguments: argparse.Namespace, plan: Plan, edge: Edge, command: str
) -> dict[str, object]:
    return {
        "benchmark": plan.benchmark.name,
        "kind": "max-streams",
        "generator": GENERATOR,
        "system": plan.system,
        "backend": plan.harness.backend,
        "simulated": plan.harness.backend == "simulated",
        "interval_ms": arguments.interval_ms,
        "bound_ms": arguments.bound_ms or arguments.interval_ms,
        "percentile": arguments.percentile,
        "max_streams": edge.best.streams if edge.best else 0,
        "failing_streams": edge.failing.streams if edge.failing else None,
        "tried": [_plain(tried) for tried in edge.tried],
        "versions": environment.versions(),
        "command": command,
    }


def _plain(tried: Tried) -> dict[str, object]:
    """Return None for missing answers: JSON has no infinity."""
    found = asdict(tried)
    found["reached_ns"] = tried.reached_ns if math.isfinite(tried.reached_ns) else None
    return found


def _line(edge: Edge, interval_ms: float) -> str:
    if edge.best is None:
        return "Not even one stream fits. Allow a longer interval or bound, or use a faster engine."
    after = f"; {edge.failing.streams} do not fit" if edge.failing else ""
    return f"{counted(edge.best.streams, 'stream')} every {interval_ms:g} ms{after}. ({GENERATOR})"


def _shown(ns: float) -> str:
    return f"{ns / MS:.3f}" if math.isfinite(ns) else "answers missing"
