"""User.conf keys that several scenarios share, from checked values of the user.

LoadGen reads durations and Server's latency bound with strtoull, so only as whole milliseconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scenarios.base import Expected
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Capacity, Load, Number

# mlperf.conf, every scenario.
LOADGEN_MIN_DURATION_S = 600.0
# SingleStream and MultiStream: LoadGen generates queries for twice min_duration in advance, one
# for each expected latency. Expecting half of what warm-up measured leaves room for an engine
# four times as fast as it was then; when it runs out of queries the run is INVALID.
EXPECTED_LATENCY_SHARE = 0.5
# A query takes 0.3 kB in SingleStream and 0.65 kB in MultiStream, and 1 us to generate (measured,
# LoadGen 6.0.17). The bound keeps the start of a run at 10 s and 7 GB; in 600 s only an engine
# with a latency below 60 us runs out of them, such as the null one.
MAX_STREAM_QUERIES = 10_000_000
# sut.config.user_conf refuses a shorter one; no engine is that fast.
MIN_EXPECTED_LATENCY_MS = 0.001
# LoadGen and this program themselves need 8 us for a query (measured with the null engine), and a
# start that generates more queries than can be answered is only slower: 1.3 s for each second.
LEAST_EXPECTED_LATENCY_MS = 0.004
# An Offline sample takes 0.4 kB in LoadGen and its Python lists, a Server query 0.3 kB (measured).
# A default rate must not fill the memory with them; a rate that the user gives may.
MAX_RATE_SAMPLES = 100_000_000


def minimums(load: Load) -> dict[str, Number]:
    """Return min_duration (ms) and min_query_count, if `load` has them.

    Raises:
        ConfigError: the duration is negative, or the query count is below 1.
    """
    keys: dict[str, Number] = {}
    if load.min_duration_s is not None:
        if not 0 <= load.min_duration_s < math.inf:
            raise ConfigError(
                f"min_duration_s is {load.min_duration_s:g}; expected 0 s or more"
                " (--min-duration-s)."
            )
        keys["min_duration"] = math.ceil(round(load.min_duration_s * 1e3, 6))
    if load.min_query_count is not None:
        if load.min_query_count < 1:
            raise ConfigError(
                f"min_query_count is {load.min_query_count}; expected 1 or more"
                " (--min-query-count)."
            )
        keys["min_query_count"] = load.min_query_count
    return keys


def min_duration_s(load: Load, conf: Mapping[str, Number]) -> float:
    """Return the duration that will be in force, in s."""
    if load.min_duration_s is not None:
        return load.min_duration_s
    return conf_duration_s(conf)


def conf_duration_s(conf: Mapping[str, Number]) -> float:
    """Return the duration that these keys of user.conf ask for, in s."""
    return conf["min_duration"] / 1e3 if "min_duration" in conf else LOADGEN_MIN_DURATION_S


def by_queries(conf: Mapping[str, Number], samples_per_query: int) -> Expected:
    """Return the length of a run that ends after both its duration and its queries."""
    queries = int(conf.get("min_query_count", 1))
    return Expected(conf_duration_s(conf), queries * samples_per_query)


def positive(value: float, what: str, unit: str) -> float:
    """Return `value`.

    Raises:
        ConfigError: it is not a finite number above 0.
    """
    if not 0 < value < math.inf:
        raise ConfigError(f"{what} is {value:g} {unit}; expected a number above 0.")
    return value


def whole_ms(value_ms: float, what: str) -> int:
    """Return `value_ms` as a whole number, which LoadGen can read.

    Raises:
        ConfigError: it has a fraction, or is not above 0.
    """
    if not 0 < value_ms < math.inf or value_ms != int(value_ms):
        raise ConfigError(
            f"{what} is {value_ms:g} ms; expected a whole number above 0: LoadGen cuts fractions."
        )
    return int(value_ms)


def refuse(value: float | None, scenario: str, option: str, why: str) -> None:
    """Refuse a value that the scenario does not use, because LoadGen would ignore it.

    Raises:
        ConfigError: `value` is given.
    """
    if value is not None:
        raise ConfigError(f"{scenario} has no {option}: {why} Leave it out.")


def bounded_rate(measured: float, share: float, duration_s: float) -> float:
    """Return `share` of a measured rate, in samples/s, bounded by what LoadGen must hold."""
    rate = positive(measured, "the rate that warm-up measured", "samples/s") * share
    if duration_s > 0:
        rate = min(rate, MAX_RATE_SAMPLES / duration_s)
    return _rounded(rate)


def expected_latency_ms(capacity: Capacity, duration_s: float) -> float:
    """Return the hint for SingleStream and MultiStream, in ms."""
    measured_ms = positive(capacity.latency_ns, "the latency that warm-up measured", "ns") / 1e6
    least_ms = 2e3 * duration_s / MAX_STREAM_QUERIES
    hint_ms = measured_ms * EXPECTED_LATENCY_SHARE
    return _rounded(max(hint_ms, least_ms, LEAST_EXPECTED_LATENCY_MS))


def _rounded(value: float) -> float:
    """Round to six significant digits, as LoadGen logs, for people who read user.conf."""
    return float(f"{value:.6g}")
