"""MultiStream: eight samples a query, the next when the last is done; the 99th percentile counts.

The MultiStream of v0.5, as many streams as fit into a fixed interval, is another scenario under
the same name: see scenarios.rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import records
from scenarios.stream import Stream

if TYPE_CHECKING:
    from scenarios.base import Scenario

SCENARIO: Scenario = Stream(
    name="MultiStream",
    metric_name="early_stopping_latency_ms",  # "ms" stands for MultiStream: the value is in ns
    metric_title="p99 query latency",
    samples_per_query=8,
    # A query may be one batch of 8, or be spread over instances in smaller ones.
    searches=("workers", "max_batch_size", "instances"),
    latencies=records.query_latencies,  # a query ends with its last sample
    mean_name="result_mean_query_latency_ns",
)
