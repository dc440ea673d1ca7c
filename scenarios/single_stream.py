"""SingleStream: one sample a query, the next when the last is done; its 90th percentile counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import load as asked
from scenarios import records, validity
from scenarios.base import Metric

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


class SingleStream:
    """See scenarios.base.Scenario."""

    name = "SingleStream"
    metric_name = "early_stopping_latency_ss"
    metric_title = "p90 latency"
    objective: Objective = "latency"
    arrivals: Arrivals = "closed_loop"
    has_bound = False
    samples_per_query = 1
    default_workers = "inline"
    # With one sample outstanding there is no batch to form and nothing to overlap.
    searches: tuple[str, ...] = ("workers",)

    def check(self, load: Load) -> None:
        """See scenarios.base.Scenario."""
        given_to_stream(self.name, load)

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, and the expected latency: see scenarios.load.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """
        return stream_settings(self.name, load, capacity, conf, accuracy)

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """See scenarios.base.Scenario."""
        return asked.by_queries(conf, self.samples_per_query)

    def metric(self, detail: Detail) -> Metric:
        """Return LoadGen's early-stopping estimate of the latency; 0 after too few queries."""
        return Metric(self.metric_name, records.number(detail, self.metric_name), "ns")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return the latencies of a sample."""
        return records.sample_latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, _unmet)


def stream_settings(
    name: str, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
) -> dict[str, Number]:
    """Return the settings of a scenario that issues one query after the other.

    Raises:
        ConfigError: see SingleStream.settings.
    """
    keys = given_to_stream(name, load)
    if "target_latency" not in {**conf, **keys} and not accuracy:  # which issues each sample once
        keys["target_latency"] = asked.expected_latency_ms(
            capacity, asked.min_duration_s(load, conf)
        )
    return keys


def given_to_stream(name: str, load: Load) -> dict[str, Number]:
    """Return what the user asks for as keys of user.conf.

    Raises:
        ConfigError: a value of `load` is out of range, or has no meaning here.
    """
    asked.refuse(load.target_qps, name, "target_qps", "the engine alone sets the pace.")
    keys = asked.minimums(load)
    if load.target_latency_ms is not None:
        keys["target_latency"] = asked.positive(
            load.target_latency_ms, "target_latency_ms (--target-latency-ms)", "ms"
        )
    return keys


def _unmet(detail: Detail) -> list[Reason]:
    return validity.stream_conditions(detail, records.number(detail, "result_mean_latency_ns"))


SCENARIO: Scenario = SingleStream()
