"""What SingleStream and MultiStream share: the next query comes when the last one is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenarios import load as asked
from scenarios import records, validity
from scenarios.base import Arrivals, Metric, Objective

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scenarios.base import Capacity, Detail, Expected, Load, Number, Reason


@dataclass(slots=True)  # not frozen: to a type checker the variables of a Protocol are settable
class Stream:
    """A closed loop. See scenarios.base.Scenario.

    Attributes:
        latencies: reads mean and percentiles of what counts: a sample or a query.
        mean_name: LoadGen's field of that mean.
    """

    name: str
    metric_name: str
    metric_title: str
    samples_per_query: int
    searches: tuple[str, ...]
    latencies: Callable[[Detail], dict[str, float]]
    mean_name: str
    objective: Objective = "latency"
    arrivals: Arrivals = "closed_loop"
    has_bound: bool = False
    default_workers: str = "inline"

    def check(self, load: Load) -> None:
        """See scenarios.base.Scenario."""
        self._given(load)

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, and the expected latency of a query: see scenarios.load.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """
        keys = self._given(load)
        if "target_latency" not in {**conf, **keys} and not accuracy:  # each sample once, then
            keys["target_latency"] = asked.expected_latency_ms(
                capacity, asked.min_duration_s(load, conf)
            )
        return keys

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """See scenarios.base.Scenario."""
        return asked.by_queries(conf, self.samples_per_query)

    def metric(self, detail: Detail) -> Metric:
        """Return LoadGen's early-stopping estimate of the latency; 0 after too few queries."""
        return Metric(self.metric_name, records.number(detail, self.metric_name), "ns")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """See scenarios.base.Scenario."""
        return self.latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, self._unmet)

    def _given(self, load: Load) -> dict[str, Number]:
        """Return what the user asks for as keys of user.conf."""
        asked.refuse(load.target_qps, self.name, "target_qps", "the engine alone sets the pace.")
        keys = asked.minimums(load)
        if load.target_latency_ms is not None:
            keys["target_latency"] = asked.positive(
                load.target_latency_ms, "target_latency_ms (--target-latency-ms)", "ms"
            )
        return keys

    def _unmet(self, detail: Detail) -> list[Reason]:
        return validity.stream_conditions(detail, records.number(detail, self.mean_name))
