"""Typed reading of LoadGen's detail records, with messages that name the missing key.

Knows the keys that all scenarios share; not what makes a run valid.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from scenarios.base import Detail

# LoadGen's percentiles (loadgen/results.h), by the names that summary.json uses.
PERCENTILES = {
    "p50": "50.00",
    "p90": "90.00",
    "p95": "95.00",
    "p97": "97.00",
    "p99": "99.00",
    "p999": "99.90",
}


def number(detail: Detail, key: str) -> float:
    """Return the number at `key`.

    Raises:
        DataError: it is missing, as in an accuracy or an interrupted run, or is not a number.
    """
    value = detail.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = f"is {value!r}, which is not a number" if key in detail else "is missing"
        raise DataError(
            f'detail log: "{key}" {what}. LoadGen writes it at the end of a performance run only.'
        )
    return value


def count(detail: Detail, key: str) -> int:
    """Return the whole number at `key`, as `number` does."""
    return int(number(detail, key))


def sample_latencies(detail: Detail) -> dict[str, float]:
    """Return mean, p50, p90, p95, p97, p99 and p999 of a sample's latency, in ns."""
    found = {"mean": number(detail, "result_mean_latency_ns")}
    for name, percentile in PERCENTILES.items():
        found[name] = number(detail, f"result_{percentile}_percentile_latency_ns")
    return found


def query_latencies(detail: Detail) -> dict[str, float]:
    """Return the same of a query's latency, in ns; MultiStream alone records it."""
    found = {"mean": number(detail, "result_mean_query_latency_ns")}
    for name, percentile in PERCENTILES.items():
        found[name] = number(detail, f"result_{percentile}_percentile_per_query_latency_ns")
    return found


def min_duration_s(detail: Detail) -> float:
    """Return the duration that the run had to reach, in s."""
    return number(detail, "effective_min_duration_ms") / 1e3


def active_s(detail: Detail) -> float:
    """Return the time from the first query to the last completion, in s, to a millisecond.

    Raises:
        DataError: LoadGen's power_begin and power_end are missing or are not times.
    """
    begin, end = (_time(detail, key) for key in ("power_begin", "power_end"))
    return (end - begin).total_seconds()


def _time(detail: Detail, key: str) -> datetime:
    text = detail.get(key)
    try:
        return datetime.strptime(str(text), "%m-%d-%Y %H:%M:%S.%f")
    except ValueError:
        raise DataError(
            f'detail log: "{key}" is {text!r}; expected a time such as 12-31-2026 23:59:59.999.'
        ) from None
