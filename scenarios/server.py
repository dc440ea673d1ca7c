"""Server: single samples at random times, a latency bound for 99 % of them; throughput counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import load as asked
from scenarios import records, validity
from scenarios.base import Metric, Reason
from scenarios.early_stopping import allowed_over, minimum_queries, queries_at_share

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
        Scenario,
    )

# Tuned vision systems publish a Server rate of 0.73 to 1.0 of their Offline rate (resnet50, v0.7
# to v4.1). This default is a first rate, VALID even on a machine that is not quite idle; it is not
# meant for a submission.
CAPACITY_SHARE = 0.4
# Early stopping needs this many with two late ones. A short run at the default rate continues until
# then: on a slow machine its duration alone would give too few.
LEAST_QUERIES = minimum_queries(0.99, 2)
# What LoadGen and one dispatcher can handle on two cores with any engine.
MOST_QPS = 50_000.0
# Below this part of the scheduled rate the engine does not keep up: the queue grows with the run.
_KEEPS_UP = 0.95
# The next rate to try, as a share of this one, by how far the percentile is over the bound.
_NEXT_RATE = ((1.25, 0.95), (2.0, 0.9), (float("inf"), 0.8))
_OVERLOADED_SHARE = 0.9


class Server:
    """See scenarios.base.Scenario."""

    name = "Server"
    metric_name = "result_completed_samples_per_sec"
    metric_title = "completed rate"
    objective: Objective = "throughput"
    arrivals: Arrivals = "poisson"
    has_bound = True
    samples_per_query = 1
    default_workers = "thread"
    searches: tuple[str, ...] = (
        "max_batch_size", "max_queue_delay_us", "slots", "instances", "workers",
    )  # fmt: skip

    def check(self, load: Load) -> None:
        """See scenarios.base.Scenario."""
        _given(load)

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return the minimums, the bound, the rate, and coalesced queries.

        With coalescing, LoadGen issues all overdue queries in one call; each keeps its own latency.
        In accuracy mode LoadGen also follows the schedule, where a low rate only means waiting. So
        the rate is raised to what the engine can do.

        Raises:
            ConfigError: a value of `load` is out of range.
        """
        keys = _given(load)
        if "coalesce_queries" not in conf:
            keys["coalesce_queries"] = 1
        given = keys.get("target_qps", conf.get("target_qps"))
        if accuracy:
            keys["target_qps"] = max(
                given or 0.0, asked.bounded_rate(capacity.samples_per_s, 1.0, 0.0)
            )
        elif given is None:
            rate = min(capacity.samples_per_s * CAPACITY_SHARE, MOST_QPS)
            keys["target_qps"] = asked.bounded_rate(rate, 1.0, asked.min_duration_s(load, conf))
            if "min_query_count" not in {**conf, **keys}:
                keys["min_query_count"] = LEAST_QUERIES
        return keys

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """See scenarios.base.Scenario."""
        return asked.by_queries(conf, self.samples_per_query)

    def metric(self, detail: Detail) -> Metric:
        """Return the completed rate."""
        return Metric(self.metric_name, records.number(detail, self.metric_name), "samples/s")

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return the latencies of a sample, from its scheduled time."""
        return records.sample_latencies(detail)

    def reasons(self, detail: Detail) -> list[Reason]:
        """See scenarios.validity.explain."""
        return validity.explain(detail, _unmet)


def _given(load: Load) -> dict[str, Number]:
    """Return what the user asks for as keys of user.conf."""
    keys = asked.minimums(load)
    if load.target_latency_ms is not None:
        keys["target_latency"] = asked.whole_ms(
            load.target_latency_ms, "Server's latency bound (--target-latency-ms)"
        )
    if load.target_qps is not None:
        keys["target_qps"] = asked.positive(
            load.target_qps, "target_qps (--target-qps)", "queries/s"
        )
    return keys


def _unmet(detail: Detail) -> list[Reason]:
    if detail.get("result_perf_constraints_met") is False:
        return [_bound_missed(detail)]
    if detail.get("early_stopping_met") is False:
        return [_not_enough_evidence(detail)]
    return []


def _bound_missed(detail: Detail) -> Reason:
    bound_ms = _bound_ms(detail)
    share = records.number(detail, "effective_target_latency_percentile")
    cause = f"Latency bound missed: {_late(detail)}{_percentile(detail, share, bound_ms)}."
    fastest_ms = records.number(detail, "result_min_latency_ns") / 1e6
    if fastest_ms > bound_ms:
        return Reason(
            cause,
            f"No target_qps can help, because even the fastest took {fastest_ms:.4g} ms: use a"
            " smaller max_batch_size, a shorter max_queue_delay_us, or a faster engine.",
        )
    return Reason(cause, _lower_rate(detail, bound_ms, share))


def _not_enough_evidence(detail: Detail) -> Reason:
    share = records.number(detail, "effective_target_latency_percentile")
    queries = records.count(detail, "result_query_count")
    over = records.count(detail, "result_overlatency_query_count")
    cause = (
        f"Early stopping not met, although {validity.percent(share)} of this run's latencies are"
        f" within the bound: {_late(detail)}; at least {minimum_queries(share, over)} queries are"
        f" needed with {over} late."
    )
    total = queries_at_share(share, queries, over)
    if total is None:
        rate = records.number(detail, "effective_target_qps") * _NEXT_RATE[0][1]
        return Reason(cause, f"Lower target_qps: try {_option(rate)}.")
    seconds = total / records.number(detail, "effective_target_qps")
    remedy = (
        f"Run {total - queries} more queries, about {seconds:.3g} s in all"
        f" (--min-query-count {total})"
    )
    return Reason(cause, f"{remedy}, or lower target_qps." if over else f"{remedy}.")


def _late(detail: Detail) -> str:
    """Return how many queries were over the bound, and how many early stopping allows."""
    share = records.number(detail, "effective_target_latency_percentile")
    queries = records.count(detail, "result_query_count")
    over = records.count(detail, "result_overlatency_query_count")
    allowed = allowed_over(share, queries)
    allowance = (
        "there are too few queries for a verdict"
        if allowed is None
        else f"early stopping allows {allowed}"
    )
    return (
        f"{over} of {queries} queries ({validity.percent(over / queries)}) took longer than"
        f" {_bound_ms(detail):.6g} ms, and {allowance}"
    )


def _percentile(detail: Detail, share: float, bound_ms: float) -> str:
    value = _percentile_ms(detail, share)
    if value is None:
        return ""
    return (
        f"; the {validity.percent(share)} latency is {value:.4g} ms,"
        f" {value / bound_ms:.2f} times the bound"
    )


def _percentile_ms(detail: Detail, share: float) -> float | None:
    """Return the latency at `share`, in ms; None if LoadGen does not log that percentile."""
    value = detail.get(f"result_{share * 100:.2f}_percentile_latency_ns")
    return value / 1e6 if isinstance(value, int | float) else None


def _lower_rate(detail: Detail, bound_ms: float, share: float) -> str:
    target = records.number(detail, "effective_target_qps")
    scheduled = validity.finite(records.number(detail, "result_scheduled_samples_per_sec"))
    completed = validity.finite(records.number(detail, "result_completed_samples_per_sec"))
    if completed < _KEEPS_UP * scheduled:
        return (
            f"The engine completed {completed:.6g} of {scheduled:.6g} queries/s. Lower target_qps:"
            f" try {_option(min(completed, target) * _OVERLOADED_SHARE)}."
        )
    ratio = (_percentile_ms(detail, share) or bound_ms) / bound_ms
    factor = next(factor for limit, factor in _NEXT_RATE if ratio <= limit)
    return f"Lower target_qps: try {_option(target * factor)}."


def _option(rate: float) -> str:
    return f"--target-qps {float(f'{rate:.4g}'):.12g}"


def _bound_ms(detail: Detail) -> float:
    return records.number(detail, "effective_target_latency_ns") / 1e6


SCENARIO: Scenario = Server()
