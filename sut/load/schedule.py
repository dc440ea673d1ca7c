"""Whether LoadGen's schedule fits in memory: LoadGen makes all queries of a run before the first.

Pure: conditions and figures are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios.load import conf_duration_s
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Number, Scenario

# Bytes of a query of one sample, in LoadGen and in the lists of its Python interface, and of each
# further sample of it (measured with 2 million queries, LoadGen 6.0.17).
_QUERY_BYTES = {"poisson": 340, "closed_loop": 400, "at_once": 400}
_FURTHER_SAMPLE_BYTES = 50
# LoadGen makes twice as many queries for a closed loop as the expected latency allows.
_CLOSED_LOOP_FACTOR = 2


def check_fits(rules: Scenario, conf: Mapping[str, Number], left_bytes: int) -> None:
    """Refuse a performance run whose schedule does not fit.

    Args:
        rules: of the scenario.
        conf: the keys of user.conf that are in force.
        left_bytes: memory that the process may still take.

    Raises:
        ConfigError: it needs more than that.
    """
    count = queries(rules, conf)
    need = count * (
        _QUERY_BYTES[rules.arrivals] + (rules.samples_per_query - 1) * _FURTHER_SAMPLE_BYTES
    )
    if need <= left_bytes:
        return
    what = "samples" if rules.arrivals == "at_once" else "queries"
    keys = ("target_qps", "target_latency", "min_duration", "min_query_count")
    because = ", ".join(f"{key} {conf[key]:g}" for key in keys if key in conf)
    raise ConfigError(
        f"{rules.name}: {count:,.0f} {what} ({because}) need {need / 1e9:,.1f} GB in LoadGen, "
        f"which makes them all before the run; expected at most the {left_bytes / 1e9:,.1f} GB of "
        f"memory that are left. {_remedy(rules, conf, count)}"
    )


def _remedy(rules: Scenario, conf: Mapping[str, Number], count: float) -> str:
    """Return what to change: what made it so many queries."""
    if count <= conf.get("min_query_count", 0):
        return "Lower min_query_count."
    if rules.arrivals == "closed_loop":
        return "Raise target_latency, the expected latency, or lower the duration."
    return "Lower the rate or the duration."


def queries(rules: Scenario, conf: Mapping[str, Number]) -> float:
    """Return how many queries LoadGen makes; in Offline, the samples of its one query."""
    least = float(conf.get("min_query_count", 1))
    duration_s = conf_duration_s(conf)
    if rules.arrivals == "at_once":
        return float(rules.expected(conf).samples or least)
    if rules.arrivals == "poisson":
        return max(least, duration_s * conf.get("target_qps", 1.0))
    if "target_latency" not in conf:
        return least
    return max(least, _CLOSED_LOOP_FACTOR * duration_s / (conf["target_latency"] / 1e3))
