"""What each step of a scaling shows: share of linear, what the wire adds, what is full. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.sweep.scaling.parts import FULL, HERE, LOAD, NODES, PLACE, RATE, THERE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.table import Row, Value

# From here on something is full: what comes next waits for it.
FULL_SHARE = 0.85
_BITS, _GIGA = 8, 1e9


@dataclass(frozen=True, slots=True)
class Step:
    """So many nodes.

    Attributes:
        nodes: number of them.
        workers: on all of them.
        rate: samples/s with every slot full; None: not measured.
        linear: that rate over the nodes' number times the rate of a single node.
        predicted_rate: by the queue model.
        local: `rate` over that of process workers of this machine; None: not measured.
        qps: of the random arrivals.
        p99_ns: of their latency; None: not measured.
        predicted_p99_ns: by the queue model.
        added_ns: p99 less that of process workers of this machine.
        shares: how busy what could be full was, with every slot full.
        marks: of its rows.
    """

    nodes: int
    workers: int
    rate: float | None
    linear: float | None
    predicted_rate: float | None
    local: float | None
    qps: float | None
    p99_ns: float | None
    predicted_p99_ns: float | None
    added_ns: float | None
    shares: Mapping[str, float]
    marks: tuple[str, ...]

    @property
    def stop(self) -> str:
        """What keeps it from more, in words."""
        if not self.shares:
            return ""
        name = max(self.shares, key=lambda key: self.shares[key])
        share = f"{name} {self.shares[name]:.0%}"
        return share if self.shares[name] >= FULL_SHARE else f"nothing is full ({share})"


@dataclass(frozen=True, slots=True)
class Predicted:
    """Of so many nodes: samples/s with every slot full, and p99 at a rate in ns."""

    rate: float
    p99_ns: float | None


def steps(
    rows: Sequence[Row],
    workers: Mapping[int, int],
    predictions: Mapping[int, Predicted],
    sample_bytes: float,
    gbit: float | None,
) -> list[Step]:
    """Return every step, in order.

    Args:
        rows: all points; their axes are those of sut.sweep.scaling.parts.
        workers: by number of nodes.
        predictions: by number of nodes.
        sample_bytes: that travel for a sample, both ways together.
        gbit: of this machine's connection in Gb/s; None: no limit that is known.
    """
    by_place = {(row.point[NODES], row.point[LOAD], row.point[PLACE]): row for row in rows}
    return [
        _step(by_place, nodes, workers, predictions.get(nodes), sample_bytes, gbit)
        for nodes in sorted(workers)
    ]


def _step(  # noqa: PLR0913 - what a step is judged by
    rows: Mapping[tuple[Value, Value, Value], Row],
    nodes: int,
    workers: Mapping[int, int],
    prediction: Predicted | None,
    sample_bytes: float,
    gbit: float | None,
) -> Step:
    place = THERE if (nodes, FULL, THERE) in rows else HERE
    full, rated = rows.get((nodes, FULL, place)), rows.get((nodes, RATE, place))
    first = min(workers)
    rate = _figure(full, "samples_per_s")
    single = _figure(rows.get((first, FULL, place)), "samples_per_s")
    p99_ns = _figure(rated, "latency_p99_ns")
    here = _figure(rows.get((nodes, FULL, HERE)), "samples_per_s") if place == THERE else None
    here_ns = _figure(rows.get((nodes, RATE, HERE)), "latency_p99_ns") if place == THERE else None
    return Step(
        nodes=nodes,
        workers=workers[nodes],
        rate=rate,
        linear=None if rate is None or not single else rate / single * first / nodes,
        predicted_rate=None if prediction is None else prediction.rate,
        local=None if rate is None or not here else rate / here,
        qps=None if rated is None else float(rated.point["qps"]),
        p99_ns=p99_ns,
        predicted_p99_ns=None if prediction is None else prediction.p99_ns,
        added_ns=None if p99_ns is None or here_ns is None else p99_ns - here_ns,
        shares={} if full is None else _shares(full, sample_bytes, gbit),
        marks=tuple(f"{row.point[LOAD]}: {mark}" for row in (full, rated) if row
                    for mark in (*row.marks, *([row.problem] if row.problem else []))),
    )  # fmt: skip


def _figure(row: Row | None, name: str) -> float | None:
    return None if row is None else row.figures.get(name)


def _shares(row: Row, sample_bytes: float, gbit: float | None) -> dict[str, float]:
    """Return how busy what could be full was; of one core where only one thread can do it."""
    figures = row.figures
    named = {
        "the devices": "busy",
        "the interpreter here": "process_cores",
        "ZeroMQ's thread here": "wire_cores",
        "this host's cores": "host_busy",
    }
    found = {words: figures[name] for words, name in named.items() if name in figures}
    if gbit is not None and "samples_per_s" in figures:
        found["the network"] = figures["samples_per_s"] * sample_bytes * _BITS / (gbit * _GIGA)
    return found
