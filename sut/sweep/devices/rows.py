"""Makes the rows of a table from what was measured: medians, accuracy, precision, roofline.

Pure, but for reading the graph of a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, stdev
from typing import TYPE_CHECKING

from msgspec import structs

from data.tasks import judge_of_records
from sut.base.errors import SutError
from sut.models.graph_cost import cost_of
from sut.record.table import Row
from sut.sweep.devices.delta import delta
from sut.sweep.devices.proof import ran_in, shares
from sut.sweep.devices.roofline import Roof, achieved, bound_by, fixed_part_s
from sut.telemetry.neighbours import disturbance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from data.preprocess import SampleSet
    from data.tasks.base import Postprocess
    from sut.models.graph_cost import GraphCost
    from sut.sweep.devices.act import Answered
    from sut.sweep.devices.bench import Once
    from sut.sweep.devices.plan import Point
    from sut.sweep.devices.timing import Median, Timed
    from sut.sweep.devices.ways import Way

NS_PER_S = 1e9
COMPUTE, LATENCY = "compute", "latency"
# 97.5 % quantiles of Student's t with 2, 3, ... degrees of freedom; beyond, the last one is near.
_T_95 = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_LEAST_REPEATS = 3
_HALF = 0.5
# No row can be above its roof; so far above it, the roof is wrong.
_ABOVE = 1.02
_BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Reference:
    """What the answers of every row are compared with: fp32 in ONNX Runtime on the CPU.

    Attributes:
        records: by index of the sample, as LoadGen would log them.
        samples: with their labels.
        postprocess: tells how answers are read and judged.
    """

    records: Mapping[int, bytes]
    samples: SampleSet
    postprocess: Postprocess


@dataclass(slots=True)
class Costs:
    """Costs of graphs, each counted once."""

    _known: dict[tuple[str, int, int | None], GraphCost | str] = field(default_factory=dict)

    def of(self, path: str, batch: int, way: Way) -> GraphCost | str:
        """Return what a batch of a model costs, or why that is not known."""
        # The file stays fp32, and the engine narrows it when it opens.
        inside = _BF16_BYTES if way.form is None and way.precision == "bf16" else None
        key = (path, batch, inside)
        if key not in self._known:
            try:
                self._known[key] = cost_of(Path(path), batch, inside)
            except (SutError, OSError) as error:
                self._known[key] = str(error)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and all of its tries.

    Attributes:
        point: the row.
        tries: in order; empty: it was refused before.
        cost: of a batch by the graph; None: not known.
    """

    point: Point
    tries: Sequence[Once] = ()
    cost: GraphCost | None = None

    @property
    def good(self) -> list[tuple[Once, Answered]]:
        """The tries that have figures."""
        return [(one, one.answered) for one in self.tries if one.answered is not None]


def rows_of(
    measured: Sequence[Measured],
    roofs: Callable[[Point], Mapping[str, Roof]],
    reference: Reference | None,
) -> list[Row]:
    """Return the rows of a table, in order.

    Args:
        measured: all points.
        roofs: of the device of a point, by precision.
        reference: None: no accuracy.
    """
    fixed = _fixed_parts(measured)
    rows = []
    for one in measured:
        row = _row(one, reference)
        if one.good and one.cost is not None:
            key = (one.point.device.name, one.point.way.precision)
            row = _with_roof(row, one.cost, roofs(one.point), fixed.get(key))
        rows.append(row)
    return rows


def _row(one: Measured, reference: Reference | None) -> Row:
    point, good = one.point, one.good
    if point.way.refused:
        return Row(point=point.place, problem=f"refused: {point.way.refused}")
    if not good:
        first = one.tries[0] if one.tries else None
        problem = "not measured yet" if first is None else first.problem
        return Row(point=point.place, problem=problem, folder=first.folder if first else None)
    once, answered = good[0]
    labels = {"backend": point.backend}
    if point.way.label:
        labels["support"] = point.way.label
    figures: dict[str, float] = {}
    if not answered.layers_problem:
        of_node = {} if one.cost is None else one.cost.macs_by_node
        words, figures = shares(point.way.precision, once.facts, answered.layers, of_node)
        labels |= {"ran in": words} if words else {}
    if unsteady := [text for _, a in good for text in a.timed.doubts]:
        labels["not steady"] = unsteady[0]
    return Row(
        point=point.place,
        figures={
            **_times(good),
            **_energy(good),
            **figures,
            **_accuracy(once, answered, reference),
        },
        windows=_middle([a.timed for _, a in good]).windows,
        marks=tuple(_marks(one)),
        simulated=once.facts.get("simulated") == "True",
        folder=once.folder,
        labels=labels,
    )


def _marks(one: Measured) -> list[str]:
    """Return why a row is doubtful, in the same words for every row: a table says them once."""
    found = []
    if failed := [once.problem for once in one.tries if once.answered is None]:
        found.append(f"{len(failed)} of {len(one.tries)} tries failed: {failed[0]}")
    unsteady = sum(bool(answered.timed.doubts) for _, answered in one.good)
    if unsteady:
        found.append(f"not steady in {unsteady} of {len(one.good)} repeats")
    if any(disturbance(once.others_cores) for once, _ in one.good) and one.point.device.is_cpu:
        found.append("other processes kept the CPU busy meanwhile")
    found += [answered.layers_problem for _, answered in one.good if answered.layers_problem]
    return [*dict.fromkeys([*found, *(text for once, _ in one.good for text in once.findings)])]


def _times(good: Sequence[tuple[Once, Answered]]) -> dict[str, float]:
    timed = [answered.timed for _, answered in good]
    found = {
        "samples_per_s": median(t.samples_per_s for t in timed),
        "latency_p99_ns": median(t.latency_p99_ns for t in timed),
        "enqueue_p50_ns": median(t.enqueue_ns for t in timed),
        **_others([once.others_cores for once, _ in good]),
        "repeats": float(len(timed)),
        "batches": float(sum(t.batches for t in timed)),
        "dropped_batches": median(float(t.dropped) for t in timed),
    }
    for name, medians in (
        (COMPUTE, [t.compute for t in timed]),
        (LATENCY, [t.latency for t in timed]),
    ):
        value, low, high = together(medians)
        found |= {f"{name}_p50_ns": value, f"{name}_p50_low_ns": low, f"{name}_p50_high_ns": high}
    return found


def _middle(timed: Sequence[Timed]) -> Timed:
    """Return the repeat whose throughput is the median, or the one below it."""
    return sorted(timed, key=lambda one: one.samples_per_s)[(len(timed) - 1) // 2]


def _others(cores: Sequence[float | None]) -> dict[str, float]:
    known = [value for value in cores if value is not None]
    return {"others_cores": max(known)} if known else {}


def together(medians: Sequence[Median]) -> tuple[float, float, float]:
    """Return the median of repeats, and its 95 % interval.

    Three or more say how far repeats differ: Student's t of their logarithms, as a disturbance
    makes a time some part longer. It is never narrower than what each of them says of itself;
    fewer have that alone.
    """
    value = median(one.value for one in medians)
    within = median((one.high - one.low) * _HALF / one.value for one in medians)
    between = 0.0
    if len(medians) >= _LEAST_REPEATS:
        quantile = _T_95[min(len(medians) - _LEAST_REPEATS, len(_T_95) - 1)]
        logarithms = [math.log(one.value) for one in medians]
        between = quantile * stdev(logarithms) / len(medians) ** 0.5
    factor = math.exp(max(within, between))
    return value, value / factor, value * factor


def _energy(good: Sequence[tuple[Once, Answered]]) -> dict[str, float]:
    """Return memory, power and energy; what no device tells is absent."""
    once, answered = good[0]
    found: dict[str, float | None] = {"host_memory_bytes": float(answered.memory_bytes)}
    seen = once.telemetry
    if once.facts.get("simulated") == "True" and "power_w" in once.facts:
        found["power_w"] = float(once.facts["power_w"])  # it computes all the time
        rate = median(a.timed.samples_per_s for _, a in good)
        found["energy_j_per_sample"] = float(once.facts["power_w"]) / rate
    if seen is not None:
        used = seen.most("memory_used_bytes")
        found |= {
            "memory_bytes": None if used is None else float(used),
            "power_w": seen.average_power_w,
            "energy_j_per_sample": seen.energy_per_sample_j,
            "energy_above_idle_j_per_sample": seen.energy_per_sample_above_idle_j,
        }
    return {name: value for name, value in found.items() if value is not None}


def _accuracy(once: Once, answered: Answered, reference: Reference | None) -> dict[str, float]:
    if reference is None or not answered.records:
        return {}
    judge, labels = judge_of_records(reference.postprocess), reference.samples.labels
    if judge is None or labels is None:
        return {}
    records = dict(zip(once.rows, answered.answers(), strict=True))
    exact = {row: reference.records[row] for row in records}
    found, other = (
        {row: judge.read_answer(record, f"sample {row}") for row, record in side.items()}
        for side in (records, exact)
    )
    score = judge.score(found, labels)
    figures = {"accuracy": score.value, "accuracy_samples": float(score.n)}
    if score.interval_95 is not None:
        figures |= dict(zip(("accuracy_low", "accuracy_high"), score.interval_95, strict=True))
    difference = delta(judge, found, other, labels)
    figures["accuracy_delta"] = difference.value
    if difference.interval_95 is not None:
        ends = ("accuracy_delta_low", "accuracy_delta_high")
        figures |= dict(zip(ends, difference.interval_95, strict=True))
    if reference.postprocess.comparable:
        same = sum(records[row] == exact[row] for row in records)
        figures["same_share"] = same / len(records)
    return figures


def _fixed_parts(measured: Sequence[Measured]) -> dict[tuple[str, str], float | None]:
    """Return what no sample adds to a batch, in s, by device and precision."""
    times: dict[tuple[str, str], dict[int, float]] = {}
    for one in measured:
        if one.good:
            value, *_ = together([answered.timed.compute for _, answered in one.good])
            key = (one.point.device.name, one.point.way.precision)
            times.setdefault(key, {})[one.point.batch] = value / NS_PER_S
    return {key: fixed_part_s(of_key) for key, of_key in times.items()}


def _with_roof(row: Row, cost: GraphCost, roofs: Mapping[str, Roof], fixed_s: float | None) -> Row:
    """Return the row with what it achieved, and what bounds it."""
    compute_s = row.figures["compute_p50_ns"] / NS_PER_S
    enqueue_s = row.figures["enqueue_p50_ns"] / NS_PER_S
    roof = roofs.get(ran_in(row))
    if roof is None and roofs:  # its memory is the same in every precision
        roof = replace(next(iter(roofs.values())), flops_per_s=None)
    kind, why = bound_by(cost, compute_s, enqueue_s, fixed_s, roof)
    labels = {**row.labels, "bound": kind or "unknown", "because": why}
    if roof is not None:
        labels["peak"] = roof.source
    if cost.uncounted:
        names = ", ".join(f"{count} {op}" for op, count in cost.uncounted.items())
        labels["not counted"] = names
    figures = {**row.figures, **achieved(cost, compute_s, roof)}
    marks = row.marks
    if figures.get("roof_share", 0.0) > _ABOVE:
        marks = (*marks, "faster than the device's peak: the peak was measured on a busy machine")
    return structs.replace(row, figures=figures, labels=labels, marks=marks)
