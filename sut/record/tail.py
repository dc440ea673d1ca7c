"""What the latency at the percentile of the bound is made of, and what explains it.

One sample alone says little, so each part is the mean over the samples around the percentile: for
p99, those between p98.5 and p99.5. Knows only the trace, and what devices reported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sut.record.result import Tail
from sut.record.summary import judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Trace

    Array = NDArray[np.int64]

_NS_PER_MS = 1e6
# What a part is called; the order decides between equals.
_NAMES: Mapping[str, str] = {
    "issue_ns": "before LoadGen's thread issued it",
    "batch_ns": "waiting for the batch",
    "others_ns": "behind other batches",
    "transfer_ns": "to the device",
    "compute_ns": "compute",
    "answer_ns": "back to LoadGen",
}
_SMALL = 0.02  # of the latency: smaller parts are "other" in the line
_DIGITS = 3  # of the latency in the line
# Batches of nearly the same size take nearly the same time.
_LIKE_SIZE = 0.05
# From here on the line names it.
_SLOW_RATIO, _MOST, _MUCH = 1.1, 0.5, 0.25


@dataclass(frozen=True, slots=True)
class HeldBack:
    """When a device said that something held it back.

    Attributes:
        at_ns: of its readings, [R], ascending.
        by: which readings said so, [R] each, by reason; only reasons that occurred.
    """

    at_ns: Array
    by: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Around:
    """What a trace is explained with.

    Attributes:
        percentile: of the bound, such as 0.99.
        latency_ns: there, as LoadGen measured it; None: as the trace has it.
        slots: batches in flight of all workers together.
        stall_ends_ns: when stalls of LoadGen's thread ended, ascending; None: unknown.
        held_back: for each worker, what its device reported; empty: nothing.
    """

    percentile: float
    latency_ns: float | None
    slots: int
    stall_ends_ns: Array | None = None
    held_back: Sequence[HeldBack | None] = ()


def find(trace: Trace, around: Around) -> Tail | None:
    """Split the latency at the percentile into parts that add up to it; None without a sample.

    LoadGen's latency begins at the scheduled time, the trace's with IssueQuery. So what LoadGen's
    percentile has more than the trace's is the time until LoadGen's thread issued the query. The
    other parts are means, scaled to add up to the percentile.
    """
    of_batches = {**trace.batches, "free_ns": _free_ns(trace.batches)}
    b, sizes, arrivals, known = judged(replace(trace, batches=of_batches))
    if not len(sizes):
        return None
    batch = np.repeat(np.arange(len(sizes)), sizes)[known]
    values = b["completed_ns"][batch] - arrivals
    chosen, at_ns = _around(values, around.percentile)
    arrived, batch = arrivals[chosen], batch[chosen]
    closed, started, finished, completed, free = (
        b[name][batch]
        for name in ("closed_ns", "started_ns", "finished_ns", "completed_ns", "free_ns")
    )
    without_slot = _without_slot_ns(trace.batches, around.slots)
    no_slot = without_slot(closed) - without_slot(arrived)
    busy = np.clip(np.minimum(free, started) - closed, 0, None)
    parts = {
        "batch_ns": closed - arrived - no_slot,
        "others_ns": no_slot + busy,
        "transfer_ns": started - closed - busy,
        "compute_ns": finished - started,
        "answer_ns": completed - finished,
    }
    latency_ns = at_ns if around.latency_ns is None else around.latency_ns
    issue_ns = max(0.0, latency_ns - at_ns)
    scale = (latency_ns - issue_ns) / max(float(values[chosen].mean()), 1.0)
    return Tail(
        percentile=around.percentile,
        latency_ns=latency_ns,
        samples=len(chosen),
        issue_ns=issue_ns,
        **{name: float(part.mean()) * scale for name, part in parts.items()},
        compute_ratio=_compute_ratio(b, batch),
        after_stalls=_after(around.stall_ends_ns, arrived, at_ns),
        held_back=_held_back(around.held_back, b["worker"][batch], started),
    )


def parts(tail: Tail) -> dict[str, float]:
    """Return the parts in ns, by what they are called; they add up to the latency."""
    return {text: getattr(tail, name) for name, text in _NAMES.items()}


def line(tail: Tail) -> str:
    """Return it in one line: the largest parts in ms, which add up, and what explains them."""
    latency_ms = tail.latency_ns / _NS_PER_MS
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(max(latency_ms, 1e-6))))
    in_ms = {text: ns / _NS_PER_MS for text, ns in parts(tail).items()}
    shown = {text: ms for text, ms in in_ms.items() if ms >= _SMALL * latency_ms}
    shown = dict(sorted(shown.items(), key=lambda part: -part[1]))
    shown["other"] = max(0.0, latency_ms - sum(shown.values()))
    units = _whole_units([ms * 10**decimals for ms in shown.values()])
    words = [
        f"{count / 10**decimals:,.{decimals}f} {text}"
        for text, count in zip(shown, units, strict=True)
        if count
    ]
    total = f"{sum(units) / 10**decimals:,.{decimals}f}"
    what = f"p{100 * tail.percentile:g} is {total} ms: {', '.join(words)}"
    return "; ".join([what, *_explanations(tail)])


def _explanations(tail: Tail) -> list[str]:
    found = []
    if tail.compute_ratio >= _SLOW_RATIO:
        longer = f"{tail.compute_ratio - 1:.0%}"
        found.append(f"these batches computed {longer} longer than others of their size")
    if tail.compute_ns >= _MUCH * tail.latency_ns:
        found += [
            f"{reason} held the device back in {share:.0%} of these samples"
            for reason, share in tail.held_back.items()
            if share >= _MOST
        ]
    if (tail.after_stalls or 0.0) >= _MOST:
        found.append(
            f"{tail.after_stalls:.0%} of these samples came right after LoadGen's own thread was "
            "held up"
        )
    return found


def _free_ns(batches: Mapping[str, Array]) -> Array:
    """Return when the worker of each batch had finished all its earlier batches, [B]; 0: always."""
    free = np.zeros(len(batches["samples"]), np.int64)
    for worker in np.unique(batches["worker"]):
        mine = np.flatnonzero(batches["worker"] == worker)
        mine = mine[
            np.argsort(batches["first_sample"][mine])
        ]  # the order in which they were closed
        free[mine[1:]] = np.maximum.accumulate(batches["finished_ns"][mine])[:-1]
    return free


class _WithoutSlot:
    """For how long no slot was free before a time; linear between the times of a change."""

    def __init__(self, at_ns: Array, sums_ns: Array) -> None:
        self._at_ns, self._sums_ns = at_ns, sums_ns

    def __call__(self, times_ns: Array) -> Array:
        """Return it for these times, [n] in ns."""
        if not len(self._at_ns):
            return np.zeros(len(times_ns), np.int64)
        origin = self._at_ns[0]  # np.interp computes in float64, which is exact for small numbers
        values = np.interp(times_ns - origin, self._at_ns - origin, self._sums_ns)
        found: Array = np.rint(values).astype(np.int64)
        return found


def _without_slot_ns(batches: Mapping[str, Array], slots: int) -> _WithoutSlot:
    """Return the time without a free slot so far, as a function of time.

    A batch holds a slot from its closing to its completion.
    """
    at_ns = np.concatenate([batches["closed_ns"], batches["completed_ns"]])
    steps = np.repeat([1, -1], len(batches["closed_ns"]))
    order = np.lexsort((steps, at_ns))  # at the same time, a slot is freed before it is taken
    at_ns, full = at_ns[order], np.cumsum(steps[order]) >= slots
    lasted = np.diff(at_ns) * full[:-1]
    return _WithoutSlot(at_ns, np.concatenate([[0], np.cumsum(lasted)]).astype(np.int64))


def _around(values: Array, percentile: float) -> tuple[Array, float]:
    """Return which samples are around the percentile, and its value, by LoadGen's index."""
    count, half = len(values), min(percentile, 1 - percentile) / 2
    at = min(int(count * percentile), count - 1)
    low = min(int(count * (percentile - half)), at)
    high = max(int(count * (percentile + half)), at + 1)
    order = np.argpartition(values, sorted({low, at, high - 1}))
    return order[low:high], float(values[order[at]])


def _compute_ratio(b: Mapping[str, Array], batch: Array) -> float:
    """Return the mean ratio of these samples' batches to the median of batches of their size."""
    took = (b["finished_ns"] - b["started_ns"]).astype(float)
    usual = np.ones(len(took))
    chosen = np.unique(batch)
    for worker in np.unique(b["worker"][chosen]):
        mine = np.flatnonzero(b["worker"] == worker)
        mine = mine[np.argsort(b["samples"][mine], kind="stable")]
        sizes, times = b["samples"][mine], took[mine]
        of_worker = chosen[b["worker"][chosen] == worker]
        for size in np.unique(b["samples"][of_worker]):
            low = np.searchsorted(sizes, size * (1 - _LIKE_SIZE))
            high = np.searchsorted(sizes, size * (1 + _LIKE_SIZE), side="right")
            usual[of_worker[b["samples"][of_worker] == size]] = np.median(times[low:high])
    return float(np.mean(took[batch] / np.maximum(usual[batch], 1.0)))


def _after(ends_ns: Array | None, arrived: Array, within_ns: float) -> float | None:
    """Return the share of samples that arrived at the end of a stall, or soon after."""
    if ends_ns is None:
        return None
    last = np.searchsorted(ends_ns, arrived, side="right")
    ends = np.concatenate([[np.iinfo(np.int64).min // 2], ends_ns])[last]
    return float(np.mean(arrived - ends <= within_ns))


def _held_back(held: Sequence[HeldBack | None], workers: Array, started: Array) -> dict[str, float]:
    """Return by reason the share of samples whose device said so at its nearest reading."""
    shares: dict[str, float] = {}
    for worker in np.unique(workers):
        device = held[worker] if worker < len(held) else None
        if device is None or not len(device.at_ns):
            continue
        mine = started[workers == worker]
        middles = (device.at_ns[1:] + device.at_ns[:-1]) / 2
        nearest = np.searchsorted(middles, mine)
        for reason, said in device.by.items():
            share = float(said[nearest].sum() / len(workers))
            if share:
                shares[reason] = shares.get(reason, 0.0) + share
    return shares


def _whole_units(values: Sequence[float]) -> list[int]:
    """Round so that the sum of the results is the rounded sum of the values."""
    down = [math.floor(value) for value in values]
    missing = round(sum(values)) - sum(down)
    by_rest = sorted(range(len(values)), key=lambda k: down[k] - values[k])
    return [count + (k in by_rest[:missing]) for k, count in enumerate(down)]
