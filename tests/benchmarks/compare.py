"""Does `sut compare` hold on real runs? `make bench-compare`.

Runs the same setting again and again, and a copy that is 5 % slower in between. Compares runs that
are equal, one by one and in groups of three, and each with a slower one. Counts how often a
difference is claimed, and whether the interval holds the planted ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from msgspec import structs

from sut.report.compare import Comparison, compare
from sut.report.compare_sources import Measured, read_side
from tests.benchmarks import paired
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULE = "tests.benchmarks.compare"
SLOWER = 1.05
SIMULATED = ("-b", "resnet50", "--system", "r740_4xt4")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is run, and what is compared of it.

    Attributes:
        name: for the table.
        words: of `sut run`.
        metrics: figures, each with the ratio that a device has that is slower by SLOWER.
        has_scale: the backend itself can be slower; else the times of a run are stretched.
    """

    name: str
    words: tuple[str, ...]
    metrics: dict[str, float | None]
    has_scale: bool = True


KINDS = (
    Kind(
        "r740_4xt4 Offline",
        (*SIMULATED, "-s", "Offline", "--target-qps", "22000"),
        {"samples_per_s": 1 / SLOWER},
    ),
    Kind(
        "r740_4xt4 Server",
        (*SIMULATED, "-s", "Server", "--target-qps", "16000"),
        # The rate is LoadGen's. How much longer samples wait depends on the load.
        {"samples_per_s": 1.0, "compute_ns": SLOWER, "latency_mean_ns": None},
    ),
    Kind(
        "null Offline",
        ("-b", "resnet50", "--backend", "null", "-s", "Offline", "--target-qps", "400000"),
        {"samples_per_s": 1 / SLOWER},
        has_scale=False,
    ),
)
HEADER = ("runs", "figure", "runs a side", "equal: claimed", "slower: found", "interval holds it",
          "half width")  # fmt: skip


def main() -> int:
    """Run, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=int, nargs="?", default=20, help="equal pairs of each kind")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each test")
    parser.add_argument("--only", help="kinds whose name has this in it")
    parser.add_argument("--json", type=Path, help="also write the comparisons there")
    arguments = parser.parse_args()
    started_s, clock = time.monotonic(), paired.CpuClock()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    rows, content = [], []
    for kind in KINDS:
        if arguments.only and arguments.only not in kind.name:
            continue
        equal, slower = _measured(kind, arguments.pairs, arguments.seconds)
        for metric, planted in kind.metrics.items():
            for repeats in (1, 3):
                row, found = _judged(kind, equal, slower, (metric, planted), repeats)
                rows.append(row)
                content += found
    print("\n" + paired.table(HEADER, rows))
    others = clock.others_cores()
    print(
        f"planted: {SLOWER:g} times as long. Other processes used {others or 0:.2f} cores on "
        f"average. {time.monotonic() - started_s:.0f} s"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


def _measured(kind: Kind, pairs: int, seconds: float) -> tuple[list[Measured], list[Measured]]:
    """Return two runs for each pair, and one for each pair that is slower, in turn."""
    equal: list[Measured] = []
    slower: list[Measured] = []
    for pair in range(pairs):
        print(f"{kind.name}: pair {pair + 1} of {pairs} ...", file=sys.stderr, flush=True)
        equal.append(_run(kind.words, seconds))
        slow = (*kind.words, "--set", f"slow={SLOWER}") if kind.has_scale else kind.words
        slower.append(_run(slow, seconds))
        equal.append(_run(kind.words, seconds))
    return equal, slower if kind.has_scale else [_stretched(one) for one in slower]


def _run(words: Sequence[str], seconds: float) -> Measured:
    """Run once; return it with its windows, as its folder is removed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run(
            [sys.executable, "-m", "sut", "run", *words, "--min-duration-s", str(seconds),
             "--out", str(out)],
            check=False,  # a test may be INVALID on a busy machine
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (found,) = read_side(str(out))
        return _Kept(found.where, found.table, found.folders, _windows(found))


@dataclass(frozen=True, slots=True)
class _Kept(Measured):
    """A measurement whose windows are read already."""

    kept: dict[str, tuple[float, ...]]

    def windows(self, row: object, metric: str) -> tuple[float, ...]:
        return self.kept[metric]


def _windows(found: Measured) -> dict[str, tuple[float, ...]]:
    (row,) = found.table.rows
    return {m: found.windows(row, m) for kind in KINDS for m in kind.metrics}


def _stretched(one: Measured) -> Measured:
    """Return a run as if all its times were longer by SLOWER."""
    assert isinstance(one, _Kept), "made by _run"
    (row,) = one.table.rows
    rate = "samples_per_s"
    figures = {**row.figures, rate: row.figures[rate] / SLOWER}
    table = structs.replace(one.table, rows=(structs.replace(row, figures=figures),))
    kept = {**one.kept, rate: tuple(window / SLOWER for window in one.kept[rate])}
    return _Kept(one.where, table, one.folders, kept)


def _judged(
    kind: Kind,
    equal: Sequence[Measured],
    slower: Sequence[Measured],
    figure: tuple[str, float | None],
    repeats: int,
) -> tuple[tuple[str, ...], list[dict[str, object]]]:
    """Compare groups of equal runs, and of equal with slower ones; return a row of the table."""
    metric, planted = figure
    firsts, seconds = (_groups(side, repeats) for side in (equal[::2], equal[1::2]))
    same = [compare(a, b, metric) for a, b in zip(firsts, seconds, strict=True)]
    slow = [compare(a, b, metric) for a, b in zip(firsts, _groups(slower, repeats), strict=True)]
    claimed = sum(one.mean.excludes_one for one in same)
    known = [one.mean.low <= planted <= one.mean.high for one in slow] if planted else []
    row = (
        kind.name,
        metric,
        str(repeats),
        f"{claimed} of {len(same)}",
        "-" if planted == 1 else f"{sum(_found(one) for one in slow)} of {len(slow)}",
        f"{sum(known)} of {len(known)}" if known else "-",
        f"{median(one.mean.high / one.mean.ratio - 1 for one in same):.1%}",
    )
    plain = [
        {"kind": kind.name, "metric": metric, "repeats": repeats, "equal": side == "same",
         "ratio": one.mean.ratio, "low": one.mean.low, "high": one.mean.high}
        for side, several in (("same", same), ("slow", slow)) for one in several
    ]  # fmt: skip
    return row, plain


def _found(one: Comparison) -> bool:
    """Say whether B is known to be worse."""
    return one.mean.high < 1 if one.better == "higher" else one.mean.low > 1


def _groups(runs: Sequence[Measured], repeats: int) -> list[Sequence[Measured]]:
    whole = len(runs) - len(runs) % repeats
    return [runs[k : k + repeats] for k in range(0, whole, repeats)]


if __name__ == "__main__":
    sys.exit(tidy(main))
