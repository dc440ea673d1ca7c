"""Offline: one query with every sample at once; throughput counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import load as asked
from scenarios import records, validity
from scenarios.base import Expected, Metric, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Arrivals, Capacity, Detail, Load, Number, Objective, Scenario

# LoadGen makes the query this many times as long as min_duration at target_qps.
LOADGEN_MARGIN = 1.1
# LoadGen makes the query with that margin, and the run is INVALID if the
# engine is done before min_duration. With this margin on top, warm-up may have measured a rate
# 17 % too low; it costs 10 % of the run's time.
RATE_MARGIN = 1.1


class Offline:
    """See scenarios.base.Scenario."""

    name = "Offline"
    metric_name = "result_samples_per_second"
    metric_title = "throughput"
    objective: Objective = "throughput"
    arrivals: Arrivals = "at_once"
    has_bound = False
    samples_per_query = 1
    default_workers = "thread"
    searches: tuple[str, ...] = ("max_batch_size", "slots", "instances", "workers")

    def check(self, load: Load) -> None:
        """See scenarios.base.Scenario."""
        _given(load)

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, and the expected rate, which sizes the query.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """
        keys = _given(load)
        if "target_qps" not in {**conf, **keys} and not accuracy:  # which issues each sample once
            keys["target_qps"] = asked.bounded_rate(
                capacity.peak_samples_per_s, RATE_MARGIN, asked.min_duration_s(load, conf)
            )
        return keys

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """Return the samples of the one query."""
        by_rate = LOADGEN_MARGIN * asked.conf_duration_s(conf) * conf.get("target_qps", 1.0)
        return Expected(samples=int(max(by_rate, conf.get("min_query_count", 1))))

    def metric(self, detail: Detail) -> Metric:
        """Return the throughput."""
        return Metric(self.metric_name, records.number(detail, self.metric_name), "samples/s")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return the latencies of a sample; they all count from the start of the run."""
        return records.sample_latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, _unmet)


def _given(load: Load) -> dict[str, Number]:
    """Return what the user asks for as keys of user.conf."""
    asked.refuse(load.target_latency_ms, "Offline", "target_latency_ms", "no latency is bounded.")
    keys = asked.minimums(load)
    if load.target_qps is not None:
        keys["target_qps"] = asked.positive(
            load.target_qps, "target_qps (--target-qps)", "samples/s"
        )
    return keys


def _unmet(detail: Detail) -> list[Reason]:
    if detail.get("result_min_duration_met") is not False:
        return []
    got_s = records.number(detail, "result_max_latency_ns") / 1e9
    rate = records.number(detail, "result_samples_per_second")
    target = records.number(detail, "effective_target_qps")
    new = f"{rate * RATE_MARGIN:.4g}"
    cause = (
        f"Too short: {records.count(detail, 'effective_samples_per_query')} samples took"
        f" {got_s:.4g} s of {records.min_duration_s(detail):.4g} s, because target_qps was"
        f" {target:.6g} and the engine did {rate:.6g} samples/s."
    )
    return [Reason(cause, f"Set target_qps to {float(new):.12g} (--target-qps {float(new):.12g}).")]


SCENARIO: Scenario = Offline()
