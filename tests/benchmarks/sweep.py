"""What the closed loop can do, with an engine that answers at once: `make bench-sweep`.

Beside each kind of worker stands the ceiling: the same loop in front of nothing, whose batches are
whole as soon as they are sent. Both are measured in the same rounds, as the machine may be busy.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sut.base.process import collector_off, collector_on
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload
from sut.load.closed_loop import ClosedLoop
from sut.load.loads import LoadSpec
from sut.record.trace import TraceWriter
from sut.serve.workers.keeper import Keeper
from sut.sweep.runner import Runner
from sut.sweep.steady import Rule
from sut.sweep.task import Task
from tests.benchmarks import paired
from tests.benchmarks.paired import Measured, Pair, Spread
from tests.tidy import tidy

MODULE = "tests.benchmarks.sweep"
CONCURRENCY = 64
LEAST = 100_000.0  # requests/s
LITTLE = (0.99, 1.01)
SAMPLES = 1_024


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    workers: str
    max_batch_size: int


KINDS = (
    Kind("inline", 64),
    Kind("thread", 64),
    Kind("thread", 8),
    Kind("process", 64),
    Kind("process", 8),
)


class Nothing:
    """A system whose batches of up to a size are whole as soon as they are sent."""

    failure = None
    waiting_since_ns = None
    completed = (0, 0)

    def __init__(self, load: ClosedLoop, max_batch_size: int) -> None:
        self._load = load
        self._cap = max_batch_size
        self._batches = self.samples = 0

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        """Answer at once."""
        now_ns = time.monotonic_ns()
        self._load.query(now_ns, len(ids))
        for start in range(0, len(ids), self._cap):
            size = min(self._cap, len(ids) - start)
            first, self.samples = self.samples, self.samples + size
            times = (now_ns, now_ns, now_ns, now_ns, time.monotonic_ns())
            self._load.batch(self._batches, first, size, 0, 0, *times)
            self._batches += 1

    def flush_queries(self) -> None:
        """Nothing waits."""


def ceiling(max_batch_size: int, seconds: float) -> float:
    """Return the requests/s of the loop alone."""
    with tempfile.TemporaryDirectory() as folder:
        load = ClosedLoop(CONCURRENCY, 1, SAMPLES, TraceWriter(Path(folder) / "trace"))
        system = Nothing(load, max_batch_size)
        collector_off()
        start_s = time.monotonic()
        thread = threading.Thread(target=load.run, args=(system,))
        thread.start()
        time.sleep(seconds)
        load.stop()
        thread.join()
        rate = system.samples / (time.monotonic() - start_s)
        collector_on()
    return rate


def measured(kind: Kind, seconds: float, folder: Path, keeper: Keeper) -> Measured:
    """Return the requests/s through dispatcher and worker, with Little's ratio."""
    plan = resolve(
        Arguments(
            benchmark="resnet50",
            scenario="Server",
            backend="null",
            workers=kind.workers,
            max_batch_size=kind.max_batch_size,
        )
    )
    workload = prepared_workload(plan.benchmark, "null", None, None)
    load = LoadSpec("closed", concurrency=CONCURRENCY)
    rule = Rule(least_s=seconds, limit_s=seconds + 0.1, spread=1e-9)
    row = Runner(folder, keeper, rule, None).measure(Task({}, {}, plan, workload, load)).row
    if row.problem is not None:
        raise RuntimeError(row.problem)
    return Measured(row.figures["requests_per_s"], dict(row.figures))


def main() -> int:
    """Measure, and print the table. It never fails for a slow machine."""
    arguments = paired.arguments(MODULE, __doc__, rounds=3, seconds=2.0)
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    pairs: dict[Kind, list[Pair]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder, Keeper() as keeper:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds} ...", file=sys.stderr, flush=True)
            for kind in KINDS:
                pairs[kind] += _round(kind, arguments.seconds, Path(folder), keeper)
    print("\n" + paired.table(HEADER, [_row(kind, found) for kind, found in pairs.items()]))
    print(
        f"median [least - largest] of {arguments.rounds} rounds of {arguments.seconds:g} s; "
        f"{CONCURRENCY} requests of one sample in flight; at least {LEAST:,.0f}/s and Little's "
        f"ratio {LITTLE[0]} to {LITTLE[1]} are wanted"
    )
    return 0


def _round(kind: Kind, seconds: float, folder: Path, keeper: Keeper) -> list[Pair]:
    """Measure the ceiling, the loop, and the ceiling again."""
    return paired.interleave(
        lambda: ceiling(kind.max_batch_size, seconds),
        [lambda _: measured(kind, seconds, folder, keeper)],
    )


HEADER = (
    *("workers", "largest batch", "requests/s", "ceiling", "share of it", "us a request"),
    *("Little's ratio", "others' cores", "reached"),
)


def _row(kind: Kind, pairs: list[Pair]) -> tuple[str, ...]:
    little = [_figure(pair, "little") for pair in pairs]
    others = [pair.others_cores for pair in pairs if pair.others_cores is not None]
    return (
        kind.workers,
        str(kind.max_batch_size),
        paired.shown([pair.value for pair in pairs], ",.0f"),
        paired.shown([pair.reference for pair in pairs], ",.0f"),
        paired.shown([pair.ratio for pair in pairs], ".2f"),
        f"{1e6 / Spread.of([pair.value for pair in pairs]).median:.2f}",
        f"{min(little):.4f} - {max(little):.4f}",
        f"{max(others):.1f}" if others else "-",
        "yes" if _is_reached(pairs) else "no",
    )


def _is_reached(pairs: list[Pair]) -> bool:
    lawful = all(LITTLE[0] <= _figure(pair, "little") <= LITTLE[1] for pair in pairs)
    return lawful and Spread.of([pair.value for pair in pairs]).median >= LEAST


def _figure(pair: Pair, name: str) -> float:
    value = pair.measured.facts[name]
    assert isinstance(value, float), "a figure of a row"
    return value


if __name__ == "__main__":
    sys.exit(tidy(main))
