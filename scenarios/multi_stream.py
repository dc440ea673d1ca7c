"""MultiStream: eight samples a query, the next when the last is done; the 99th percentile counts.

The MultiStream of v0.5, as many streams as fit into a fixed interval, is another scenario under
the same name: see scenarios.rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import records, validity
from scenarios.base import Metric
from scenarios.load import by_queries
from scenarios.single_stream import given_to_stream, stream_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import (
        Arrivals,
        Capacity,
        Detail,
        Expected,
        Load,
        Number,
        Objective,
        Reason,
        Scenario,
    )


class MultiStream:
    """See scenarios.base.Scenario."""

    name = "MultiStream"
    metric_name = "early_stopping_latency_ms"  # "ms" stands for MultiStream: the value is in ns
    metric_title = "p99 query latency"
    objective: Objective = "latency"
    arrivals: Arrivals = "closed_loop"
    has_bound = False
    samples_per_query = 8
    default_workers = "inline"
    # A query may be one batch of 8, or be spread over instances in smaller ones.
    searches: tuple[str, ...] = ("workers", "max_batch_size", "instances")

    def check(self, load: Load) -> None:
        """See scenarios.base.Scenario."""
        given_to_stream(self.name, load)

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, and the expected latency of a query: see scenarios.load.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """
        return stream_settings(self.name, load, capacity, conf, accuracy)

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """See scenarios.base.Scenario."""
        return by_queries(conf, self.samples_per_query)

    def metric(self, detail: Detail) -> Metric:
        """Return LoadGen's early-stopping estimate of the latency; 0 after too few queries."""
        return Metric(self.metric_name, records.number(detail, self.metric_name), "ns")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return the latencies of a query, which ends with its last sample."""
        return records.query_latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, _unmet)


def _unmet(detail: Detail) -> list[Reason]:
    return validity.stream_conditions(
        detail, records.number(detail, "result_mean_query_latency_ns")
    )


SCENARIO: Scenario = MultiStream()
