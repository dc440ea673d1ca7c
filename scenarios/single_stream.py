"""SingleStream: one sample a query, the next when the last is done; its 90th percentile counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import records
from scenarios.stream import Stream

if TYPE_CHECKING:
    from scenarios.base import Scenario

SCENARIO: Scenario = Stream(
    name="SingleStream",
    metric_name="early_stopping_latency_ss",
    metric_title="p90 latency",
    samples_per_query=1,
    # With one sample outstanding there is no batch to form and nothing to overlap.
    searches=("workers",),
    latencies=records.sample_latencies,
    mean_name="result_mean_latency_ns",
)
