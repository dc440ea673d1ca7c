"""What this machine's CPU can do with a benchmark's model, and what the harness takes of it.

`sut run` against a bare loop of the same ONNX Runtime sessions, in interleaved rounds:

- Offline: LoadGen's throughput as a share of the bare loop's;
- SingleStream: LoadGen's p50 latency less that of a bare call;
- Server: the highest rate that LoadGen calls VALID, as a share of the bare loop's rate.

It measures and prints; it never fails for a slow machine. Run it on a quiet one.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data.benchmark import load_benchmark
from data.preprocess import prepare
from sut.record.result import to_dict
from tests.benchmarks import bare, paired
from tests.benchmarks.loadgen_run import SERVER_QUERIES, latency, metric, sut_run
from tests.benchmarks.paired import Measured, Pair, Spread
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.config.settings import HarnessSettings
    from sut.record.result import Result

MODULE = "tests.benchmarks.cpu"
OFFLINE, SINGLE, SERVER = "Offline", "SingleStream", "Server"

# What the harness promises.
LEAST_OFFLINE_RATIO = 0.97
MOST_ADDED_US = 150.0
LEAST_SERVER_SHARE = 0.85

# Server's runs: share of the bare rate, and least seconds. LoadGen's schedule has the same seed in
# every run, and its queries 500 to 700 come a fifth faster than the mean. A run at 0.85 must be
# long enough to make up for them: a simulated queue with the bare calls' times is INVALID below
# 8 s, and at 0.90 in any run of this length; that row tells how near the limit is.
SERVER_RUNS = ((0.80, 0.0), (LEAST_SERVER_SHARE, 15.0), (0.90, 0.0))

# A run of the program that ends at once: it makes model and samples, and says what it resolved.
PROBE = ("--min-duration-s", "0", "--min-query-count", "1")

HEADER = (
    "what", "unit", "bare", "LoadGen", "min", "max", "round by round", "median", "quiet", "target",
    "met",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario, resolved.

    Attributes:
        benchmark: its name or file.
        scenario: as LoadGen spells it.
        options: more options of `sut run`.
        seconds: LoadGen's minimum duration.
        loop: the bare loop with the same settings.
    """

    benchmark: str
    scenario: str
    options: tuple[str, ...]
    seconds: float
    loop: bare.BareRequest

    def run(self, *options: str, least_s: float = 0.0) -> Result:
        """Run the scenario once, for `least_s` or longer; return its result."""
        duration = ("--min-duration-s", str(max(self.seconds, least_s)))
        return sut_run(self.benchmark, self.scenario, [*duration, *self.options, *options])[0]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table, and the pairs behind it."""

    name: str
    cells: tuple[str, ...]
    pairs: Sequence[Pair]

    def as_dict(self) -> dict[str, object]:
        """Return it for the JSON file."""
        cells = dict(zip(HEADER, (self.name, *self.cells), strict=True))
        return {**cells, "rounds": [pair.as_dict() for pair in self.pairs]}


def main() -> int:
    """Measure, print the table, and write the JSON file if asked for."""
    arguments = _arguments()
    started_s = time.monotonic()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    cases = [_case(arguments, scenario) for scenario in arguments.only]
    for case in cases:
        print(f"{case.scenario}: {_settings(case.loop.harness)}", flush=True)
    rounds: dict[str, list[list[Pair]]] = {case.scenario: [] for case in cases}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds} ...", file=sys.stderr, flush=True)
        for case in cases:
            rounds[case.scenario].append(MEASURES[case.scenario](case))
    rows = [row for name, measured in rounds.items() for row in ROWS[name](measured)]
    print("\n" + paired.table(HEADER, [(row.name, *row.cells) for row in rows]))
    print(
        f"{paired.NOISY_MARK} noisy: the bare loop before and after differs by more than "
        f"{paired.NOISY_SHARE:.0%}, or other processes used more than {paired.NOISY_CORES} cores; "
        "left out of the quiet median, which decides."
    )
    print(f"{time.monotonic() - started_s:.0f} s")
    if arguments.json:
        settings = {case.scenario: _settings(case.loop.harness) for case in cases}
        results = [row.as_dict() for row in rows]
        content = {"command": paired.command(MODULE), "settings": settings, "rows": results}
        paired.write_json(arguments.json, content)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-b", "--benchmark", default="efficientnet-lite0")
    parser.add_argument("--only", nargs="+", choices=tuple(MEASURES), default=tuple(MEASURES))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=3.0, help="least of a LoadGen run (3)")
    parser.add_argument("--bare-seconds", type=float, default=1.2, help="of each bare loop (1.2)")
    parser.add_argument(
        "--with-postprocess", action="store_true", help="the bare loop makes records of its outputs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    for scenario in MEASURES:
        parser.add_argument(
            f"--{scenario.lower()}",
            default="",
            metavar="OPTIONS",
            help=f'more options of sut run for {scenario}, such as "--max-batch-size 2"',
        )
    arguments = parser.parse_args()
    if arguments.rounds < 1 or min(arguments.seconds, arguments.bare_seconds) <= 0:
        parser.error("--rounds must be 1 or more, --seconds and --bare-seconds above 0")
    return arguments


def _case(arguments: argparse.Namespace, scenario: str) -> Case:
    """Resolve a scenario as `sut run` does, by asking a short run of it."""
    options = shlex.split(getattr(arguments, scenario.lower()))
    benchmark = load_benchmark(arguments.benchmark)
    _, request = sut_run(arguments.benchmark, scenario, [*PROBE, *options])
    workload = request.workload
    assert workload.model is not None, "a backend with a model"
    harness = request.harness
    if scenario == SINGLE:  # LoadGen sends one sample at a time, whatever the cap
        harness = replace(harness, max_batch_size=1)
    samples = prepare(benchmark, None)
    loop = bare.BareRequest(
        harness=harness,
        model=workload.model.path,
        input_name=workload.inputs[0].name,
        samples=str(samples.paths[0]),
        seconds=arguments.bare_seconds,
        postprocess=benchmark.postprocess if arguments.with_postprocess else None,
        frames=samples.frames,
    )
    return Case(arguments.benchmark, scenario, tuple(options), arguments.seconds, loop)


def _settings(harness: HarnessSettings) -> str:
    options = [f"{name}={value}" for name, value in harness.backend_options.items()]
    return ", ".join(
        [
            f"workers={harness.workers}",
            f"instances={harness.instances}",
            f"batch={harness.max_batch_size}",
            f"max_queue_delay_us={harness.max_queue_delay_us}",
            f"slots={harness.slots}",
            *options,
        ]
    )


# One round of each scenario.


def _measure_offline(case: Case) -> list[Pair]:
    def run(_: float) -> Measured:
        result = case.run()
        return Measured(metric(result), {"valid": result.valid})

    return paired.interleave(partial(_rate, case), [run])


def _measure_single(case: Case) -> list[Pair]:
    def run(_: float) -> Measured:
        result = case.run()
        return Measured(latency(result).p50, {"valid": result.valid})

    return paired.interleave(lambda: bare.measure(case.loop).call_ns, [run])


def _measure_server(case: Case) -> list[Pair]:
    def run(share: float, least_s: float, rate: float) -> Measured:
        target = f"{share * rate:.2f}"
        options = ("--target-qps", target, "--min-query-count", str(SERVER_QUERIES))
        result = case.run(*options, least_s=least_s)
        return Measured(
            float(target),
            {
                "share": share,
                "valid": result.valid,
                "p99_ms": latency(result).p99 / 1e6,
                "reasons": result.reasons,
                "batches": to_dict(result)["batches"],
            },
        )

    return paired.interleave(
        partial(_rate, case), [partial(run, *run_at) for run_at in SERVER_RUNS]
    )


def _rate(case: Case) -> float:
    return bare.measure(case.loop).samples_per_s


# The rows of each scenario, from all rounds.


def _offline_rows(rounds: Sequence[Sequence[Pair]]) -> list[Row]:
    pairs = [of_round[0] for of_round in rounds]
    median = statistics.median(pair.ratio for pair in pairs)
    cells = (
        "samples/s",
        f"{_reference(pairs):.1f}",
        *_spread([pair.value for pair in pairs]),
        paired.in_rounds(pairs, lambda pair: f"{pair.ratio:.3f}"),
        f"{median:.3f}",
        _quiet(pairs, lambda pair: pair.ratio, "{:.3f}"),
        f">= {LEAST_OFFLINE_RATIO}",
        _met(pairs, lambda pair: pair.ratio, lambda ratio: ratio >= LEAST_OFFLINE_RATIO),
    )
    return [Row(OFFLINE, cells, pairs)]


def _single_rows(rounds: Sequence[Sequence[Pair]]) -> list[Row]:
    pairs = [of_round[0] for of_round in rounds]
    median_us = statistics.median(map(_added_us, pairs))
    cells = (
        "p50 ms",
        f"{_reference(pairs) / 1e6:.3f}",
        *_spread([pair.value / 1e6 for pair in pairs], "{:.3f}"),
        paired.in_rounds(pairs, lambda pair: f"{_added_us(pair):+.0f}"),
        f"{median_us:+.0f} us",
        _quiet(pairs, _added_us, "{:+.0f} us"),
        f"<= +{MOST_ADDED_US:.0f} us",
        _met(pairs, _added_us, lambda added: added <= MOST_ADDED_US),
    )
    return [Row(SINGLE, cells, pairs)]


def _added_us(pair: Pair) -> float:
    return (pair.value - pair.reference) / 1e3


def _server_rows(rounds: Sequence[Sequence[Pair]]) -> list[Row]:
    rows = [
        _server_row(share, [of_round[k] for of_round in rounds])
        for k, (share, _) in enumerate(SERVER_RUNS)
    ]
    return [*rows, _highest_row(rounds)]


def _server_row(share: float, pairs: Sequence[Pair]) -> Row:
    valid = [pair for pair in pairs if _valid(pair)]
    of_quiet = paired.quiet(pairs)
    quiet = f"{sum(map(_valid, of_quiet))} of {len(of_quiet)}"
    cells = (
        "p99 ms",
        "",
        *_spread([float(str(pair.measured.facts["p99_ms"])) for pair in pairs]),
        paired.in_rounds(pairs, lambda pair: "VALID" if _valid(pair) else "no"),
        f"{len(valid)} of {len(pairs)}",
        quiet,
        "",
        "",
    )
    return Row(f"{SERVER} at {share:.2f}", cells, pairs)


def _highest_row(rounds: Sequence[Sequence[Pair]]) -> Row:
    """The highest valid rate of each round; 0 where none was."""
    highest = [_highest(of_round) for of_round in rounds]
    median = statistics.median(map(_share, highest))
    cells = (
        "queries/s",
        f"{statistics.median(pair.reference for pair in highest):.1f}",
        *_spread([pair.value * _valid(pair) for pair in highest]),
        paired.in_rounds(highest, lambda pair: f"{_share(pair):.2f}"),
        f"{median:.2f}",
        _quiet(highest, _share, "{:.2f}"),
        f">= {LEAST_SERVER_SHARE:.2f}",
        _met(highest, _share, lambda share: share >= LEAST_SERVER_SHARE),
    )
    return Row(f"{SERVER}, highest VALID", cells, [])


def _highest(of_round: Sequence[Pair]) -> Pair:
    return max(of_round, key=_share)


def _share(pair: Pair) -> float:
    """The pair's share of the bare rate that was asked of LoadGen; 0.0 where it was not VALID."""
    return float(str(pair.measured.facts["share"])) if _valid(pair) else 0.0


def _valid(pair: Pair) -> bool:
    return pair.measured.facts["valid"] is True


def _reference(pairs: Sequence[Pair]) -> float:
    return statistics.median(pair.reference for pair in pairs)


def _spread(values: Sequence[float], form: str = "{:.1f}") -> tuple[str, str, str]:
    spread = Spread.of(values)
    return form.format(spread.median), form.format(spread.low), form.format(spread.high)


def _quiet(pairs: Sequence[Pair], value: Callable[[Pair], float], form: str) -> str:
    values = [value(pair) for pair in paired.quiet(pairs)]
    return f"{form.format(statistics.median(values))} ({len(values)})" if values else "none"


def _met(
    pairs: Sequence[Pair], value: Callable[[Pair], float], fits: Callable[[float], bool]
) -> str:
    """Judge the median of the quiet rounds, if they are more than half of all."""
    values = [value(pair) for pair in paired.quiet(pairs)]
    if 2 * len(values) <= len(pairs):
        return "too noisy"
    return "yes" if fits(statistics.median(values)) else "NO"


MEASURES: dict[str, Callable[[Case], list[Pair]]] = {
    OFFLINE: _measure_offline,
    SINGLE: _measure_single,
    SERVER: _measure_server,
}
ROWS: dict[str, Callable[[Sequence[Sequence[Pair]]], list[Row]]] = {
    OFFLINE: _offline_rows,
    SINGLE: _single_rows,
    SERVER: _server_rows,
}

if __name__ == "__main__":
    sys.exit(tidy(main))
