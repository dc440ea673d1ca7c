"""`sut run`: one scenario, several, or all four."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scenarios import scenario, scenario_names
from scenarios.base import Load
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.config.arguments import MODES, Arguments
from sut.config.plan import Plan, resolve
from sut.record.result import to_dict
from sut.record.run_folder import RunFolder
from sut.record.tail import line as tail_line
from sut.report import words
from sut.run.run import Interrupted, run
from sut.serve.workers.keeper import Keeper
from sut.verbs import console
from sut.verbs.options import add_benchmark, add_options, as_arguments, out_folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sut.record.result import Result

EXAMPLES = """examples:
  sut run -b efficientnet-lite0 -s Server --target-qps 80
  sut run -b efficientnet-lite0 -s all --mode submission --min-duration-s 10
  sut run -b my.yaml -s Offline --model my.onnx --data my_images/
"""
RESULTS_FILE = "results.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what")
    add_benchmark(what)
    what.add_argument(
        "-s",
        "--scenario",
        required=True,
        help="Server, Offline, SingleStream or MultiStream; several with commas; or all",
    )
    what.add_argument(
        "--mode",
        choices=MODES,
        default="performance",
        help="submission runs both others (default: performance)",
    )
    what.add_argument(
        "--round", default="current", help="MLPerf's rules: current or v0.5 (default: current)"
    )
    add_options(what, "--model", "--pixels", "--data")
    what.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/TIME-...)")
    load = parser.add_argument_group("LoadGen")
    add_options(load, "--user-conf")
    load.add_argument(
        "--strict-conf",
        action="store_true",
        help="refuse a user.conf with lines that have no effect, also where they do no harm",
    )
    load.add_argument(
        "--target-qps", type=float, metavar="Q", help="Server: queries/s; Offline: samples/s"
    )
    load.add_argument(
        "--target-latency-ms", type=float, metavar="L", help="Server: the latency bound"
    )
    load.add_argument(
        "--min-duration-s", type=float, metavar="S", help="shortest run, in s (LoadGen's 600)"
    )
    load.add_argument("--min-query-count", type=int, metavar="N", help="fewest queries")
    load.add_argument("--audit-config", type=Path, metavar="FILE", help="an audit.config to apply")
    load.add_argument(
        "--loadgen-trace", action="store_true", help="write LoadGen's own trace (slow)"
    )
    add_options(parser, "--trace-mb")
    harness = parser.add_argument_group("harness (default: from the system, then the benchmark)")
    add_options(harness, "--system", "--backend", "--workers", "--devices", "--cluster")
    add_options(harness, "--network")
    add_options(harness, "--instances")
    add_options(harness, "--max-batch-size")
    harness.add_argument(
        "--device-max-batch-size", metavar="0:B,1:B", help="for devices with smaller batches"
    )
    add_options(harness, "--max-queue-delay-us", "--slots", "--postprocess-threads")
    harness.add_argument(
        "--affinity", metavar="0:0-15&1:16-31", help="cores of each device's workers"
    )
    add_options(harness, "--set")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Run the scenarios; return the exit code."""
    names = _scenarios(arguments.scenario)
    base = _arguments(arguments, names[0])
    plans = [resolve(replace(base, scenario=name)) for name in names]
    with out_folder(arguments.out, _default_name(plans[0].benchmark.name, names)) as out:
        return _run(arguments, plans, out, command)


def _run(arguments: argparse.Namespace, plans: list[Plan], out: Path, command: str) -> int:
    """Run the plans, print the results, return the exit code."""
    say = sys.stderr if arguments.json else sys.stdout
    for line in _settings(plans):
        print(line, file=say)
    results: list[Result] = []
    try:
        with Keeper() as keeper:
            if len(plans) == 1:
                results.append(run(plans[0], out, command, keeper=keeper))
            else:
                _run_all(plans, out, partial(run, command=command, keeper=keeper), results)
    except Interrupted as interruption:
        results.append(interruption.result)
        _print_results(results, out, arguments.json)
        raise
    _print_results(results, out, arguments.json)
    return EXIT_VALID if all(result.valid for result in results) else EXIT_INVALID


def _run_all(
    plans: list[Plan], out: Path, run_one: Callable[..., Result], results: list[Result]
) -> None:
    """Run each in its own folder; write results.json after each, so that none is lost."""
    with RunFolder(out) as folder:
        for plan in plans:
            results.append(run_one(plan, out / plan.scenario))
            folder.write_json(RESULTS_FILE, {"results": [to_dict(result) for result in results]})


def _scenarios(text: str) -> list[str]:
    if text.lower() == "all":
        return list(scenario_names())
    return list(dict.fromkeys(scenario(name.strip()).name for name in text.split(",")))


def _arguments(arguments: argparse.Namespace, first: str) -> Arguments:
    for option in ("user_conf", "audit_config"):
        path: Path | None = getattr(arguments, option)
        if path is not None and not path.is_file():
            raise ConfigError(f"--{option.replace('_', '-')}: {path} is not a file.")
    return as_arguments(
        arguments,
        first,
        load=Load(
            arguments.target_qps,
            arguments.target_latency_ms,
            arguments.min_duration_s,
            arguments.min_query_count,
        ),
        device_max_batch_size=_device_caps(arguments.device_max_batch_size),
    )


def _device_caps(text: str | None) -> dict[str, int] | None:
    """Read DEVICE:SAMPLES,DEVICE:SAMPLES."""
    if text is None:
        return None
    caps = {}
    for part in text.split(","):
        device, _, samples = part.rpartition(":")
        if not (device and samples.isdecimal()):
            raise ConfigError(
                f'--device-max-batch-size: "{part}"; expected DEVICE:SAMPLES, such as 0:26.'
            )
        caps[device] = int(samples)
    return caps


def _default_name(benchmark: str, names: list[str]) -> str:
    return f"{benchmark}-{names[0] if len(names) == 1 else 'all'}"


def _settings(plans: list[Plan]) -> list[str]:
    """Return the resolved settings, a line a scenario, by where they came from."""
    lines = [f"{plans[0].benchmark.name} on system {plans[0].system}"]
    for plan in plans:
        by_source: dict[str, list[str]] = {}
        for name, setting in plan.settings.items():
            if setting.value not in ({}, ""):
                by_source.setdefault(setting.source, []).append(f"{name}={_text(setting.value)}")
        shown = "; ".join(f"{source}: {' '.join(words)}" for source, words in by_source.items())
        lines.append(f"  {plan.scenario + ':':13} {shown}")
        lines += [f"  note: {note}" for note in plan.notes()]
    conf = plans[0].file
    lines += (f"warning: {line}" for line in (conf.warnings if conf is not None else ()))
    return lines


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(inner)}" for key, inner in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _print_results(results: list[Result], out: Path, as_json: bool) -> None:
    if as_json:
        plain = [to_dict(result) for result in results]
        print(json.dumps(plain[0] if len(plain) == 1 else {"results": plain}, indent=2))
        return
    print()
    print(console.table([words.result_row(result) for result in results]))
    for result in results:
        for line in (
            *result.reasons,
            tail_line(result.tail) if result.tail is not None else None,
            *result.findings,
            words.power_line(result.device_telemetry),
        ):
            if line:
                print(f"{result.scenario}: {line}")
    print(f"Logs: {out}")
