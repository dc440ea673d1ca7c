"""The search for Offline: with a budget, the answers of brute force over the published tables."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from backends.simulated.curve import Curve, from_file
from sut.serve.service_times import Measured, Point
from sut.tuner import offline
from sut.tuner.asking import Unreachable
from sut.tuner.job import Bound, Job, Space
from sut.tuner.messages import Answer, Ask, Measure, Outcome, Reply, Trial, drive
from sut.tuner.space import BUDGET_SIZES
from sut.tuner.verdict import judged

MS = 1e6
TAIL_EVERY = 20
BUDGETS_MS = (5, 10, 15, 25, 50, 100)
TABLES = [
    f"gpu={gpu},backend={backend},dataset={dataset}"
    for gpu in ("T4", "A30", "V100", "A100")
    for backend in ("tensorrt", "torchscript")
    for dataset in ("electricity", "traffic")
]
KNIFE_EDGES = {
    ("gpu=A30,backend=torchscript,dataset=electricity", 10),
    ("gpu=A30,backend=torchscript,dataset=traffic", 10),
}


@dataclass
class Bench:
    """One device with a published table, as the study of S(b) sees it."""

    curve: Curve
    asked: list[Ask] = field(default_factory=list)
    probed: float = 1.0  # rate of a probe, as a share of that of a confirmation

    def __call__(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        if isinstance(ask, Measure):
            return Measured((("0", self.points(ask)),))
        rate = ask.candidate.max_batch_size / self.curve.service_ns(ask.candidate.max_batch_size)
        rate *= 1e9 * (self.probed if ask.purpose == "probe" else 1.0)
        return Outcome(True, rate, 1000, {"p99": 900 * MS}, None, {}, ask.seconds)

    def points(self, ask: Measure) -> dict[int, Point]:
        found = {}
        for size in ask.sizes:
            tail_ns = self.curve.tail_ns(size)
            usual_ns = (TAIL_EVERY * self.curve.service_ns(size) - tail_ns) / (TAIL_EVERY - 1)
            found[size] = Point(usual_ns, usual_ns, usual_ns, {"p99": tail_ns})
            if ask.bound_ns is not None and usual_ns > ask.bound_ns:
                break
        return found


def tune(table: str, budget_ms: float) -> Answer:
    job = Job(
        "Offline",
        space=Space(workers=("thread",), sizes=BUDGET_SIZES),
        budget=Bound("p99", budget_ms * MS),
        confirm_runs=1,
    )
    bench = Bench(from_file("tft-fp16", table))
    answer = judged(job, drive(offline.search(job, {}, lambda _: None), bench))
    assert all(isinstance(ask, Measure | Trial) for ask in bench.asked)
    return answer


def test_a_confirmation_after_a_slow_probe_is_long_enough() -> None:
    bench = Bench(from_file("tft-fp16", TABLES[0]), probed=0.7)
    job = Job("Offline", space=Space(workers=("thread",), sizes=BUDGET_SIZES), confirm_runs=1)

    answer = drive(offline.search(job, {}, lambda _: None), bench)

    confirm = bench.asked[-1]
    assert isinstance(confirm, Trial)
    assert confirm.target_qps == pytest.approx(answer.confirmed[0].metric, rel=1e-3)


def by_brute_force(table: str, budget_ms: float) -> int | None:
    """Return the smallest batch within 1 % of the best rate whose p99 is within the budget."""
    curve = from_file("tft-fp16", table)
    rates = {
        size: size / curve.service_ns(size)
        for size in BUDGET_SIZES
        if curve.tail_ns(size) <= budget_ms * MS
    }
    best = max(rates.values(), default=0.0)
    return min((size for size, rate in rates.items() if rate >= 0.99 * best), default=None)


@pytest.mark.parametrize("table", TABLES)
def test_the_batch_is_the_one_of_brute_force_and_knife_edges_are_named(table: str) -> None:
    for budget_ms in BUDGETS_MS:
        expected = by_brute_force(table, budget_ms)
        if expected is None:
            with pytest.raises(Unreachable, match="no batch is within p99"):
                tune(table, budget_ms)
            continue

        answer = tune(table, budget_ms)

        assert answer.candidate.max_batch_size == expected
        assert answer.is_valid
        ((text, slack),) = answer.slacks
        assert "of a batch that runs alone" in text
        assert slack >= 0
        is_named = any("Knife-edge" in note for note in answer.notes)
        assert is_named == ((table, budget_ms) in KNIFE_EDGES)
