"""A SingleStream in which a batch waits for samples that cannot come.

SingleStream issues one sample after the other, so a batching delay is added to every latency: the
smallest one lies at the delay. Such results are valid and were published, 30 times too slow. What
gives them away is the speed of the same engine in the other scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

_NS_PER_MS, _NS_PER_S = 1e6, 1e9
# A sample alone may take many times what it takes in a full batch: 13 to 42 times on the published
# GPUs and accelerators, 200 times with a delay.
_TIMES_OFFLINE = 100.0
_TIMES_PLAIN = 3.0  # an engine that gains so little from batches is slow without any delay
# Delays that people write, in ms, and how far above one the smallest latency may lie.
_USUAL_DELAYS_MS = (5.0, 10.0, 20.0, 50.0, 100.0)
_NEAR = 1.05
# A delay makes all latencies nearly the same.
_TIGHT = 1.1


@dataclass(frozen=True, slots=True)
class Speed:
    """What a performance log shows of the engine's speed.

    Attributes:
        path: the detail log.
        scenario: that LoadGen ran.
        closed: whether the rules of the closed division hold.
        least_ns: smallest latency of a query.
        p90_ns: 90th percentile.
        rate: samples a second; Offline alone.
        accelerators: of the whole system; 0 if it has none.
        delay_ns: the batching delay that measurements.json states; 0 if it states none.
    """

    path: Path
    scenario: str
    closed: bool
    least_ns: float
    p90_ns: float
    rate: float
    accelerators: int
    delay_ns: float


def speed_of(result: Result) -> Speed | None:
    """Return the speed of a result; None if there is no log of it."""
    log = result.performance
    if log is None:
        return None

    def number(key: str) -> float:
        value = log.get(key)
        return float(value) if isinstance(value, int | float) else 0.0

    return Speed(
        path=result.performance_detail,
        scenario=str(log.get("effective_scenario")),
        closed=result.closed,
        least_ns=number("result_min_latency_ns"),
        p90_ns=number("result_90.00_percentile_latency_ns"),
        rate=number("result_samples_per_second"),
        accelerators=_accelerators(result.system),
        delay_ns=_stated_delay_ns(result.measured),
    )


def check_delay(speeds: Iterable[Speed], findings: Findings) -> None:
    """Warn of a SingleStream with a delay in it; `speeds` are those of one benchmark."""
    by_scenario = {speed.scenario: speed for speed in speeds}
    single = by_scenario.get("SingleStream")
    if single is None or single.least_ns <= 0:
        return
    why = _why(single, by_scenario.get("MultiStream"), by_scenario.get("Offline"))
    if why:
        findings.warn(
            "batching-delay",
            single.path,
            f"its smallest latency is {_ms(single.least_ns)}: {why}",
            "Run SingleStream with batches of one sample and no delay",
        )


def _why(single: Speed, multi: Speed | None, offline: Speed | None) -> str:
    """Return evidence of a delay; empty without any."""
    if 0 < single.delay_ns <= single.least_ns:
        return f"a batch waits {_ms(single.delay_ns)} for samples that cannot come"
    if multi is not None and 0 < multi.least_ns < single.least_ns:
        return f"eight samples of MultiStream take {_ms(multi.least_ns)}"
    alone_ns = 0.0
    if offline is not None and offline.rate > 0:
        alone_ns = _NS_PER_S * max(offline.accelerators, 1) / offline.rate
    if single.accelerators and alone_ns and single.least_ns > _TIMES_OFFLINE * alone_ns:
        return f"a sample of Offline takes {_ms(alone_ns)} of one accelerator"
    near = [d for d in _USUAL_DELAYS_MS if d <= single.least_ns / _NS_PER_MS <= d * _NEAR]
    tight = 0 < single.p90_ns <= single.least_ns * _TIGHT
    explained = alone_ns * _TIMES_PLAIN >= single.least_ns
    if single.closed and near and tight and not explained:
        return f"all latencies are just above {near[0]:g} ms, a usual batching delay"
    return ""


def _stated_delay_ns(measured: dict[str, object]) -> float:
    """Return the delay of the performance run in a measurements.json of this program."""
    value: object = measured
    for key in ("tests", "performance", "harness", "max_queue_delay_us"):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) * 1e3 if isinstance(value, int | float) else 0.0


def _accelerators(system: dict[str, object]) -> int:
    counts = [str(system.get(name, "")) for name in ("accelerators_per_node", "number_of_nodes")]
    whole = [int(text) if text.isdecimal() and len(text) < len("1000000") else 0 for text in counts]
    return whole[0] * whole[1]


def _ms(ns: float) -> str:
    return f"{ns / _NS_PER_MS:.3g} ms"
