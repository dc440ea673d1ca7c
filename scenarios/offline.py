"""Offline: one query with every sample at once; throughput counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import load as asked
from scenarios import records, validity
from scenarios.base import Metric, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Capacity, Detail, Load, Number, Scenario

# LoadGen makes the query for 1.1 times min_duration at target_qps, and the run is INVALID if the
# engine is done before min_duration. With this margin on top, warm-up may have measured a rate
# 17 % too low; it costs 10 % of the run's time.
RATE_MARGIN = 1.1


class Offline:
    """See scenarios.base.Scenario."""

    name = "Offline"
    samples_per_query = 1
    default_workers = "thread"
    is_poisson = False
    searches: tuple[str, ...] = ("max_batch_size", "slots", "instances", "workers")

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, and the expected rate, which sizes the query.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """
        asked.refuse(
            load.target_latency_ms, self.name, "target_latency_ms", "no latency is bounded."
        )
        keys = asked.minimums(load)
        if load.target_qps is not None:
            keys["target_qps"] = asked.positive(
                load.target_qps, "target_qps (--target-qps)", "samples/s"
            )
        elif "target_qps" not in conf and not accuracy:  # accuracy mode issues every sample once
            keys["target_qps"] = asked.bounded_rate(
                capacity.peak_samples_per_s, RATE_MARGIN, asked.min_duration_s(load, conf)
            )
        return keys

    def metric(self, detail: Detail) -> Metric:
        """Return the throughput."""
        key = "result_samples_per_second"
        return Metric(key, records.number(detail, key), "samples/s")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return the latencies of a sample; they all count from the start of the run."""
        return records.sample_latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, _unmet)


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
