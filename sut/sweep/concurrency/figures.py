"""The figures of one point, from the times of every lane's batches. Pure.

A lane is one engine with its thread; "per process" figures are per lane. docs/concurrency.md gives
the rule of each figure. Percentiles are LoadGen's: of n sorted values the one at index floor(n p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sut.base.scheduling import crowded
from sut.sweep.concurrency.lane import COLUMNS
from sut.sweep.steady import WINDOWS, half_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sut.base.scheduling import Scheduled

    Array = NDArray[np.int64]
    Floats = NDArray[np.float64]

NS_PER_S = 1e9
# The total and the sum of its parts are counted in two ways; they may differ by so much.
AGREE_SHARE = 0.02
# Fewer batches of a lane say nothing of its rate.
_LEAST_BATCHES = 2
_ENDS = 10
_FREE, _LAUNCH, _LAUNCHED, _WAIT, _STARTED, _FINISHED, _DONE = range(len(COLUMNS))
# What a batch costs the host, from the times of its batches; those below need a device's clock.
SPANS = ("enqueue_ns", "launch_ns", "ec_ns", "sync_ns", "wake_up_ns")
_QUANTILES = 101


@dataclass(frozen=True, slots=True)
class Ran:
    """What the processes of a point did.

    Attributes:
        batch: samples.
        window_ns: (start, end) of the measurement.
        lanes: times of each engine's batches, [batches, COLUMNS], in order of time.
        scheduled: of each process, within the window.
        inflight: batches of a lane on the device at once.
    """

    batch: int
    window_ns: tuple[int, int]
    lanes: Sequence[Array]
    scheduled: Sequence[Scheduled]
    inflight: int = 1

    @property
    def window_s(self) -> float:
        """The length of the window."""
        return (self.window_ns[1] - self.window_ns[0]) / NS_PER_S


def figures(ran: Ran) -> dict[str, float]:
    """Return the figures by name; empty if a lane did not complete two batches in the window."""
    inside = [_inside(lane, ran.window_ns) for lane in ran.lanes]
    if any(len(lane) < _LEAST_BATCHES for lane in inside):
        return {}
    each = np.array([_rate(lane, ran.batch, ran.inflight) for lane in inside])
    rates = window_rates(ran)
    total = float(rates.mean())
    times = np.concatenate(inside)
    return {
        "samples_per_s": total,
        "spread": half_width(rates),
        "per_process_mean": float(each.mean()),
        "per_process_min": float(each.min()),
        "per_process_max": float(each.max()),
        "fairness": jain(each),
        "parts_off": float(each.sum()) / total - 1,
        **_percentiles("latency", times[:, _DONE] - times[:, _LAUNCH], ("mean", "p50", "p99")),
        **_spans(times),
        **_a_batch(ran.scheduled, len(times)),
        "batches": float(len(times)),
        "samples": total * ran.window_s,
        "duration_s": ran.window_s,
    }


def window_rates(ran: Ran) -> Floats:
    """Return samples/s of all lanes together in equal parts of the window.

    A batch counts in each part with the share of its time since the batch before that lies in it,
    so that the edges of the window cut no batch off.
    """
    edges = np.linspace(*ran.window_ns, WINDOWS + 1)
    total = np.zeros(WINDOWS)
    for lane in ran.lanes:
        ends = np.concatenate([[lane[0, _LAUNCH]], lane[:, _DONE]]).astype(np.float64)
        done = np.interp(edges, ends, np.arange(len(ends)) * float(ran.batch))
        total += np.diff(done)
    found: Floats = total * NS_PER_S / np.diff(edges)
    return found


def jain(rates: Floats) -> float:
    """Return Jain's index: 1 if all are equal, 1/n if one has everything."""
    squares = float((rates**2).sum())
    return float(rates.sum()) ** 2 / (len(rates) * squares) if squares else 0.0


def busy_share(ran: Ran) -> float | None:
    """Return the share of the window in which the device computed; None: it has no clock.

    Only for a device that runs one batch after the other, as a simulated one.
    """
    start_ns, end_ns = ran.window_ns
    times = np.concatenate(list(ran.lanes))
    if not times[:, _FINISHED].any():
        return None
    spans = np.clip(times[:, [_STARTED, _FINISHED]], start_ns, end_ns)
    return float((spans[:, 1] - spans[:, 0]).sum()) / (end_ns - start_ns)


def quantiles(ran: Ran) -> dict[str, list[float]]:
    """Return 0, 1 ... 100 % of each span and of the latency, for their distributions."""
    times = np.concatenate([_inside(lane, ran.window_ns) for lane in ran.lanes])
    values = {**_values(times), "latency_ns": times[:, _DONE] - times[:, _LAUNCH]}
    shares = np.linspace(0, 1, _QUANTILES)
    return {name: np.quantile(v, shares).tolist() for name, v in values.items() if len(v)}


def marks(figures: Mapping[str, float], workers: int, cores: int) -> list[str]:
    """Return why a row is doubtful, one sentence each.

    Args:
        figures: of the row.
        workers: threads that launch batches, in all processes.
        cores: that they may use.
    """
    found = []
    off = figures.get("parts_off", 0.0)
    if abs(off) > AGREE_SHARE:
        found.append(
            f"parts: throughputs per process add up to {1 + off:.3f} of the total; expected within "
            f"{AGREE_SHARE:.0%}. A process stood still for a part of the window: measure longer."
        )
    if (why := crowded(workers, cores)) is not None:
        found.append(f"{why}.")
    return found


def _inside(lane: Array, window_ns: tuple[int, int]) -> Array:
    """Return the batches that were completed in the window."""
    start_ns, end_ns = window_ns
    found: Array = lane[(lane[:, _DONE] > start_ns) & (lane[:, _DONE] <= end_ns)]
    return found


def _rate(lane: Array, batch: int, inflight: int) -> float:
    """Return samples/s of a lane, between the first and the last tenth of its completions.

    Batches in flight may be completed together, so each end is the mean of whole such groups.
    """
    done, count = lane[:, _DONE], len(lane)
    group = min(inflight, count // 2)
    end = group * max(1, count // (_ENDS * group))
    seconds = max(float(done[-end:].mean() - done[:end].mean()), 1.0) / NS_PER_S
    return batch * (count - end) / seconds


def _values(times: Array) -> dict[str, Array]:
    """Return the spans of each batch; those that an engine does not tell are absent."""
    found = {"enqueue_ns": times[:, _LAUNCH] - times[:, _FREE]}
    if times[:, _FINISHED].any():  # a blocking engine has no launch that returns, and no clock
        found |= {
            "launch_ns": times[:, _LAUNCHED] - times[:, _LAUNCH],
            "ec_ns": times[:, _LAUNCHED] - times[:, _FREE],
            "sync_ns": times[:, _DONE] - times[:, _WAIT],
            # A batch that was done before anybody waited for it woke nobody.
            "wake_up_ns": (times[:, _DONE] - times[:, _FINISHED])[
                times[:, _FINISHED] > times[:, _WAIT]
            ],
        }
    return found


def _spans(times: Array) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, values in _values(times).items():
        if len(values):
            found |= _percentiles(name.removesuffix("_ns"), values, ("", "p50", "p99"))
    return found


def _percentiles(name: str, values: Array, wanted: Sequence[str]) -> dict[str, float]:
    """Return the mean ("" or "mean") and percentiles of values in ns."""
    ordered, count = np.sort(values), len(values)
    at = {"p50": 0.5, "p99": 0.99}
    return {
        f"{name}{'_' if one else ''}{one}_ns": float(ordered[int(at[one] * count)])
        if one in at
        else float(values.mean())
        for one in wanted
    }


def _a_batch(scheduled: Sequence[Scheduled], batches: int) -> dict[str, float]:
    """Return what the scheduler did for each batch; what a kernel does not tell is absent."""
    names = {
        "waited_ns": "run_queue_ns",
        "voluntary": "voluntary_switches",
        "involuntary": "involuntary_switches",
        "migrations": "migrations",
    }
    counts = {name: [getattr(one, name) for one in scheduled] for name in names}
    return {
        names[name]: sum(known) / batches for name, known in counts.items() if None not in known
    }
