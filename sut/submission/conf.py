"""The user.conf of each test of a submission: the user's keys, and those of the division."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from data.dataset_schema import SyntheticData
from data.datasets import list_samples
from data.schema import RoundRules
from scenarios import scenario

if TYPE_CHECKING:
    from data.benchmark import Benchmark
    from scenarios.base import Number, Scenario
    from sut.config.user_conf import UserConf
    from sut.submission.order import Order

# LoadGen stops here, so that a run of --fast ends in seconds. The checker does not read a log
# without early stopping, which at 1 % needs fewer queries than these.
FAST_QUERIES = 20
_FAST_PERCENTILE = 1
_FAST_POISSON_QPS = 10
# Where the engine sets the pace, LoadGen makes the queries of 1200 s of such a latency in advance.
_FAST_HINT_MS = 1000
# Where one query holds everything, LoadGen issues 1.1 * min_duration * target_qps samples.
_FAST_AT_ONCE_QPS = FAST_QUERIES / (1.1 * 600)
_ENDS_EARLY = ("max_query_count", "max_duration")


def performance_values(order: Order, name: str, values: dict[str, Number]) -> dict[str, Number]:
    """Return the keys of the performance test in scenario `name`.

    Args:
        order: the submission.
        name: of the scenario.
        values: the keys of the person's user.conf.
    """
    rules, asked = order.rules, scenario(name)
    values = dict(values)
    if order.division != "open":
        return values
    if asked.has_bound and rules.server_bound_ms is not None:
        values["target_latency"] = rules.server_bound_ms
    if asked.arrivals == "at_once":
        values["min_query_count"] = rules.offline_samples
    if order.fast or order.small_data:
        values |= _stated_counts(order)
    return _fast(values, asked) if order.fast else values


def accuracy_values(ran: dict[str, Number]) -> dict[str, Number]:
    """Return the keys of the accuracy test, which runs every sample, from those of performance."""
    return {key: value for key, value in ran.items() if key not in _ENDS_EARLY}


def values_of(order: Order, name: str, conf: UserConf) -> dict[str, Number]:
    """Return what LoadGen reads of `conf` for the order's model in scenario `name`."""
    entries = conf.effective(order.benchmark.loadgen_name, name)
    return {key: entry.value for key, entry in entries.items()}


def _stated_counts(order: Order) -> dict[str, Number]:
    """State the round's counts for a smaller data set. LoadGen logs them without proof."""
    found: dict[str, Number] = {}
    count, rules = sample_count(order), order.rules
    if count < rules.performance_sample_count:
        found["performance_sample_count_override"] = rules.performance_sample_count
    if count < rules.dataset_size:
        found["accuracy_sample_count_override"] = rules.dataset_size
    return found


def _fast(values: dict[str, Number], asked: Scenario) -> dict[str, Number]:
    if asked.arrivals == "at_once":
        return values | {"min_query_count": FAST_QUERIES, "target_qps": _FAST_AT_ONCE_QPS}
    found = values | {
        "min_query_count": FAST_QUERIES,
        "max_query_count": FAST_QUERIES,
        "target_latency_percentile": _FAST_PERCENTILE,
    }
    if asked.arrivals == "poisson":
        return {"target_qps": _FAST_POISSON_QPS, **found}
    return found | {"target_latency": _FAST_HINT_MS}


def sample_count(order: Order) -> int:
    """Return the samples in the data set of a submission.

    Raises:
        DataError: there is no data set.
    """
    dataset = order.benchmark.dataset
    if isinstance(dataset, SyntheticData) and order.data is None:
        return dataset.count
    return len(list_samples(order.benchmark, order.data).names)


def without_own_bound(benchmark: Benchmark) -> Benchmark:
    """Leave a latency bound to LoadGen, or to the user.conf of this submission.

    A user.conf that sets another bound than LoadGen's own is allowed only in open.
    """
    kept = {
        round_: {
            name: RoundRules() if scenario(name).has_bound else rules
            for name, rules in by_scenario.items()
        }
        for round_, by_scenario in benchmark.rounds.items()
    }
    return msgspec.structs.replace(benchmark, rounds=kept)
