"""`sut tune`: finds harness settings and load of a scenario, proves them, and writes them down."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.benchmark import benchmark_names
from scenarios.rounds import rules
from sut.base.errors import EXIT_INVALID, EXIT_SIGTERM, EXIT_VALID, ConfigError
from sut.config import plan as config
from sut.report import tuning as report
from sut.run.figures import has_telemetry
from sut.tuner import constraints, searches, server
from sut.tuner.job import Bound, Job
from sut.tuner.session import Session
from sut.tuner.space import span
from sut.tuner.trial_runner import TrialRunner, Words
from sut.tuner.tuned import keep_harness, keep_rate
from sut.verbs.options import add_benchmark, add_options, as_arguments, parse_option

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType

    from backends.base import OptionValue
    from sut.tuner.messages import Answer

EXAMPLES = """examples:
  sut tune -b resnet50 -s Server --system r740_4xt4
  sut tune -b resnet50 -s Server --system r740_4xt4 --subject-to "p97<=12ms" --official
  sut tune -b efficientnet-lite0 -s Offline --dry-run
After an interrupt, the same command continues where it stopped.
"""
OFFICIAL_S = 600.0
_EVEN = 0.5
MS = 1e6
# Passed on to every `sut run` as they are.
_PASSED = ("benchmark", "scenario", "system", "backend", "model", "data", "round", "devices")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what")
    add_benchmark(what)
    what.add_argument("-s", "--scenario", required=True, help="one of LoadGen's scenarios")
    add_options(what, "--system", "--backend", "--model", "--data", "--devices")
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
    add_options(fixed, "--slots", "--set")


def _add_search_options(how: argparse._ArgumentGroup) -> None:
    how.add_argument(
        "--search", choices=searches.NAMES, default="model", help="how to search (default: model)"
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
        help="wait up to this long before a run for other processes to be quiet (30)",
    )  # fmt: skip
    how.add_argument("--batches", metavar="26,32,40", help="try only these batch sizes")
    how.add_argument("--largest-batch", type=int, metavar="B", help="try no larger batch")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Tune; return the exit code: 0 confirmed, 3 found nothing that is VALID."""
    signal.signal(signal.SIGTERM, _terminate)
    plan = config.resolve(as_arguments(arguments, arguments.scenario))
    job = _job(arguments, plan)
    folder = arguments.out or _default_out(plan)
    _make(folder, fresh=arguments.fresh)
    out = sys.stderr if arguments.json else sys.stdout

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    say(f"tuning {plan.benchmark.name} {plan.scenario} on {plan.system}; everything is in {folder}")
    make = searches.search_of(arguments.search, plan.scenario)
    words = Words(_words(arguments, plan))
    executive = TrialRunner(job, plan, words, folder, (arguments.quiet_s, say))
    session = Session(job, folder, _settings(arguments, plan), say)
    title = f"{plan.benchmark.name} {plan.scenario} on {plan.system}"

    def write(answer: Answer | None, stopped: str = "") -> dict[str, object]:
        story = report.Story(title, command, job, plan, session.entries, answer, stopped)
        return report.write(folder, story)

    try:
        answer = session.run(make, executive)
    except BaseException as error:
        if session.entries:
            write(None, stopped=str(error) or "interrupted")
            say(f"What was learnt so far: {folder / report.PAGE}")
        raise
    answer = _held_to(job, answer)
    summary = write(answer)
    _tell(answer, job, say)
    if answer.is_valid and not arguments.dry_run:
        _keep(answer, plan, folder, say)
    say(f"Report: {folder / report.PAGE}")
    if arguments.json:
        print(json.dumps(summary, indent=2))
    return EXIT_VALID if answer.is_valid else EXIT_INVALID


def _job(arguments: argparse.Namespace, plan: config.Plan) -> Job:
    asked = constraints.parse(arguments.subject_to)
    objective = constraints.objective(arguments.objective)
    _check(arguments, plan, asked, objective)
    limits = {c.name: c.limit for c in asked if c.name in constraints.LATENCIES and c.at_most}
    bounds = [Bound(name, limit) for name, limit in limits.items()]
    if plan.scenario == "Server":
        own = _server_bound(arguments, plan)
        bounds = [own, *(b for b in bounds if b.name != own.name or b.limit_ns < own.limit_ns)]
    largest = min(
        [c.limit for c in asked if c.name == "batch" and c.at_most]
        + [arguments.largest_batch or float("inf")]
    )
    batches = _sizes(arguments.batches)
    confirm_s = OFFICIAL_S if arguments.official else 60.0
    return Job(
        scenario=plan.scenario,
        bounds=tuple(bounds),
        space=span(
            plan,
            plan.arguments,
            batches,
            None if largest == float("inf") else int(largest),
            _varied(arguments.vary),
        ),
        objective=objective,
        constraints=asked,
        probe_s=arguments.probe_s,
        confirm_s=arguments.confirm_s or confirm_s,
        confirm_runs=arguments.confirm_runs,
        confidence=arguments.confidence,
    )


def _check(
    arguments: argparse.Namespace,
    plan: config.Plan,
    asked: tuple[constraints.Constraint, ...],
    objective: str,
) -> None:
    """Refuse what cannot be searched or checked, before anything runs."""
    devices = report.DEVICE_FIGURES if has_telemetry(plan) else ()
    known = (*report.FIGURES, *devices)
    constraints.check(asked, dict.fromkeys(known, 1.0))
    natural = "throughput" if plan.scenario in {"Server", "Offline"} else "latency"
    is_natural = (objective == "throughput") == (natural == "throughput")
    if plan.scenario.endswith("Stream") and arguments.objective == "throughput":
        return  # the default: the scenario's own
    if not is_natural:
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


def _server_bound(arguments: argparse.Namespace, plan: config.Plan) -> Bound:
    """Return LoadGen's own bound: the command line's, user.conf's or the benchmark's."""
    found = plan.loadgen_settings(1)
    share = rules(plan.arguments.round, plan.scenario).percentile or 0.99
    percent = found.get("target_latency_percentile")
    if percent is not None:
        share = float(str(percent.value)) / 100
    name = f"p{share * 100:g}".replace(".", "")
    if name not in constraints.LATENCIES:
        raise ConfigError(
            f"{plan.benchmark.name} bounds the {share:.1%} latency; tuned can be for "
            f"{', '.join(constraints.LATENCIES)}."
        )
    limit_ms = arguments.target_latency_ms
    if limit_ms is None and "target_latency" in found:
        limit_ms = float(str(found["target_latency"].value))
    if limit_ms is None:
        raise ConfigError(
            f"{plan.benchmark.name} has no latency bound for Server. Name one: "
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


def _varied(texts: Sequence[str]) -> dict[str, tuple[OptionValue, ...]]:
    """Read `--vary KEY=V1,V2`."""
    varied: dict[str, tuple[OptionValue, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not (key and equals and all(values.split(","))):
            raise ConfigError(f'--vary: "{text}"; expected KEY=V1,V2, such as instances=1,2,4.')
        varied[key] = tuple(parse_option(f"{key}={value}")[1] for value in values.split(","))
    return varied


def _words(arguments: argparse.Namespace, plan: config.Plan) -> tuple[str, ...]:
    """Return what every trial's command line begins with."""
    values = {name: getattr(arguments, name) for name in _PASSED}
    values["scenario"] = plan.scenario
    for name in ("model", "data"):
        values[name] = None if values[name] is None else values[name].absolute()
    words = [
        word
        for name, value in values.items()
        if value is not None
        for word in (f"--{name}", str(value))
    ]
    if arguments.target_latency_ms is not None and plan.scenario == "Server":
        words += ["--target-latency-ms", f"{arguments.target_latency_ms:g}"]
    for text in arguments.set:
        words += ["--set", text]
    return tuple(words)


def _settings(arguments: argparse.Namespace, plan: config.Plan) -> dict[str, object]:
    """Return what must be the same for a tuning to go on."""
    kept = {
        name: str(value)
        for name, value in vars(arguments).items()
        if name not in {"out", "fresh", "dry_run", "json", "debug", "quiet_s"}
        and value not in (None, [])
    }
    harness = plan.harness
    return {
        **kept,
        "scenario": plan.scenario,
        "backend": harness.backend,
        "devices": list(harness.devices),
    }


def _default_out(plan: config.Plan) -> Path:
    system = Path(plan.system).name
    return Path("runs") / f"tune-{system}-{plan.benchmark.name}-{plan.scenario}"


def _make(folder: Path, *, fresh: bool) -> None:
    """Make the folder; with `fresh`, what is there is moved beside it."""
    if fresh and folder.exists():
        numbered = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10_000))
        folder.rename(next(path for path in numbered if not path.exists()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--out: {folder} cannot be written: {error.strerror}. Name a folder that can."
        ) from error


def _held_to(job: Job, answer: Answer) -> Answer:
    """Return the answer, not valid if it breaks a constraint of the user's."""
    broken = [text for text, slack in report.slacks(job, answer) if slack < 0]
    if not broken:
        return answer
    notes = (*answer.notes, f"Broken: {'; '.join(broken)}.")
    return replace(answer, is_valid=False, notes=notes)


def _tell(answer: Answer, job: Job, say: server.Say) -> None:
    say("")
    rate = "" if answer.target_qps is None else f" at {answer.target_qps:,.6g} queries/s"
    verdict = "VALID" if answer.is_valid else "INVALID"
    say(f"Found: {answer.candidate}{rate}: {verdict} in {_runs(answer)}")
    for constraint, slack in report.slacks(job, answer):
        say(f"  {constraint}: slack {slack:.1%}")
    for note in answer.notes:
        say(f"  {note}")


def _runs(answer: Answer) -> str:
    good = sum(run.valid for run in answer.confirmed)
    return f"{good} of {len(answer.confirmed)} runs"


def _keep(answer: Answer, plan: config.Plan, folder: Path, say: server.Say) -> None:
    """Write the settings where `sut run` finds them."""
    system = config.system_folder(plan.system)
    found = f"{_runs(answer)} VALID; {folder}"
    paths = [
        keep_harness(system, plan.benchmark.name, plan.scenario, answer.candidate.harness(), found)
    ]
    if answer.target_qps is not None:
        names = [plan.benchmark.loadgen_name, *benchmark_names()]
        model = plan.benchmark.loadgen_name
        paths.append(keep_rate(system, model, plan.scenario, answer.target_qps, names))
    say(f"Written: {', '.join(map(str, paths))}")


def _terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a tuning as Ctrl-C does: what was measured is kept."""
    raise SystemExit(EXIT_SIGTERM)
