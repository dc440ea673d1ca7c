"""Counts of what was served, in Triton's form and in that of Prometheus.

All calls come from the server's own thread. Source of the names: Triton's docs,
protocol/extension_statistics.md and user_guide/metrics.md.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from sut.base.kserve import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.serve.given import GivenQuery, Run

# The parts of a request after it was queued; each request of a batch has the times of the batch.
_PARTS = ("compute_input", "compute_infer", "compute_output")
_CACHE = ("cache_hit", "cache_miss")
_NS_PER_US = 1_000
_NS_PER_MS = 1_000_000


class Duration:
    """How often something happened, and how long it took in all."""

    __slots__ = ("count", "ns")

    def __init__(self) -> None:
        self.count = self.ns = 0

    def add(self, ns: int) -> None:
        """Count one more."""
        self.count += 1
        self.ns += ns

    def shown(self) -> dict[str, int]:
        """Return it as Triton does."""
        return {"count": self.count, "ns": self.ns}


class Statistics:
    """Requests and batches of one model since the server started."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._success, self._fail, self._queue = Duration(), Duration(), Duration()
        self._parts = [Duration() for _ in _PARTS]
        self._samples = 0
        self._last_ns = 0
        self._batches: dict[int, list[Duration]] = {}
        self.lost_workers = 0
        """Workers that the server goes on without."""
        self.responses: Counter[int] = Counter()
        """Answers by HTTP status, of inference requests and all others."""

    def batch(self, run: Run) -> None:
        """Count one batch that an engine answered."""
        parts = self._batches.get(run.samples)
        if parts is None:
            parts = self._batches[run.samples] = [Duration() for _ in _PARTS]
        requests = len(run.parts)
        for of_size, of_all, ns in zip(parts, self._parts, _parts_ns(run), strict=True):
            of_size.add(ns)
            of_all.ns += requests * ns

    def answered(self, query: GivenQuery, ns: int) -> None:
        """Count a query that was answered `ns` after it came."""
        self._success.add(ns)
        self._queue.ns += query.started_ns - query.arrived_ns
        self._samples += query.samples
        self._last_ns = time.time_ns()

    def failed(self, ns: int) -> None:
        """Count a query that an engine failed to answer."""
        self._fail.add(ns)

    def triton(self) -> dict[str, object]:
        """Return the answer to a request for statistics."""
        batches = [
            {"batch_size": size, **_shown(parts)} for size, parts in sorted(self._batches.items())
        ]
        for part in (self._queue, *self._parts):
            part.count = self._success.count  # one of each for every request
        inference = {
            "success": self._success.shown(),
            "fail": self._fail.shown(),
            "queue": self._queue.shown(),
            **_shown(self._parts),
            **{name: Duration().shown() for name in _CACHE},
        }
        of_model = {
            "name": self._model,
            "version": VERSION,
            "last_inference": self._last_ns // _NS_PER_MS,
            "inference_count": self._samples,
            "execution_count": self._executions,
            "inference_stats": inference,
            "batch_stats": batches,
        }
        return {"model_stats": [of_model]}

    def prometheus(self, waiting: int, bytes_held: int) -> str:
        """Return the page of metrics; `waiting` samples have no answer yet."""
        label = f'model="{self._model}",version="{VERSION}"'
        lines: list[str] = []

        def metric(name: str, kind: str, text: str, values: Iterator[tuple[str, int]]) -> None:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
            lines.extend(f"{name}{{{labels}}} {value}" for labels, value in values)

        def one(name: str, text: str, value: int, kind: str = "counter") -> None:
            metric(name, kind, text, iter([(label, value)]))

        one("nv_inference_request_success", "Requests answered", self._success.count)
        one("nv_inference_request_failure", "Requests that an engine failed", self._fail.count)
        one("nv_inference_count", "Samples answered", self._samples)
        one("nv_inference_exec_count", "Batches run", self._executions)
        one("nv_inference_pending_request_count", "Samples without answer", waiting, "gauge")
        durations = [("request", self._success), ("queue", self._queue)]
        for name, part in [*durations, *zip(_PARTS, self._parts, strict=True)]:
            text = f"Cumulative time, {name.replace('_', ' ')}, in microseconds"
            one(f"nv_inference_{name}_duration_us", text, part.ns // _NS_PER_US)
        one("sut_held_bytes", "Bytes of requests in memory", bytes_held, "gauge")
        one("sut_lost_workers", "Workers that were lost", self.lost_workers, "gauge")
        sizes = sorted(self._batches.items())
        by_size = ((f'{label},size="{size}"', parts[0].count) for size, parts in sizes)
        metric("sut_batches", "counter", "Batches by their number of samples", by_size)
        codes = ((f'code="{code}"', count) for code, count in sorted(self.responses.items()))
        metric("sut_http_responses", "counter", "Responses by HTTP status", codes)
        return "\n".join(lines) + "\n"

    @property
    def _executions(self) -> int:
        return sum(parts[0].count for parts in self._batches.values())


def _parts_ns(run: Run) -> tuple[int, ...]:
    return (
        run.ready_ns - run.started_ns,
        run.computed_ns - run.ready_ns,
        run.ended_ns - run.computed_ns,
    )


def _shown(parts: list[Duration]) -> dict[str, dict[str, int]]:
    return {name: part.shown() for name, part in zip(_PARTS, parts, strict=True)}
