"""The rules of an MLPerf Inference round for each scenario, as data and as user.conf keys.

Sources: `current` is inference_rules.adoc, section 3, and mlperf.conf of LoadGen 6.0.17; `v0.5` is
inference_rules.adoc of 2019-10-10 and v0.5/mlperf.conf. Latency bounds belong to the benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenarios import scenario
from scenarios.load import whole_ms
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenarios.base import Number


@dataclass(frozen=True, slots=True)
class Rules:
    """One scenario in one round.

    Attributes:
        percentile: of the latency that is bounded or reported, below 1; None where none is.
        min_query_count: queries, in Offline samples of the one query; None leaves LoadGen's 100,
            which early stopping overrules.
        min_duration_s: seconds.
        samples_per_query: 1 in Offline, where the one query holds `min_query_count` and more.
        runs: performance runs of a submission.
    """

    percentile: float | None
    min_query_count: int | None
    min_duration_s: int
    samples_per_query: int = 1
    runs: int = 1


# None: a scenario of the round that LoadGen no longer has.
ROUNDS: Mapping[str, Mapping[str, Rules | None]] = {
    "current": {
        "SingleStream": Rules(0.90, None, 600),
        "MultiStream": Rules(0.99, 662, 600, samples_per_query=8),
        "Server": Rules(0.99, None, 600),
        "Offline": Rules(None, 24_576, 600),
    },
    "v0.5": {
        "SingleStream": Rules(0.90, 1_024, 60),
        "MultiStream": None,
        "Server": Rules(0.99, 270_336, 60, runs=5),
        "Offline": Rules(None, 24_576, 60),
    },
}


def rules(round_name: str, scenario_name: str) -> Rules:
    """Return what the round asks of the scenario.

    Raises:
        ConfigError: there is no such round or scenario, or LoadGen cannot run it any more.
    """
    if round_name not in ROUNDS:
        raise ConfigError(
            f'round "{round_name}" does not exist; known are {", ".join(ROUNDS)}.'
            f"{nearest(round_name, ROUNDS)}"
        )
    name = scenario(scenario_name).name
    found = ROUNDS[round_name][name]
    if found is None:
        raise ConfigError(
            f"{name} of {round_name}, the most streams within a fixed interval, is no longer a"
            " LoadGen scenario; --round current runs today's MultiStream."
        )
    return found


def round_settings(
    round_name: str,
    scenario_name: str,
    bound_ms: float | None = None,
    dataset_samples: int | None = None,
) -> dict[str, Number]:
    """Return the user.conf keys of a round.

    A percentile is written only where it is not today's: LoadGen has that one itself, and a
    user.conf that sets it makes the result one for the open division.

    Args:
        round_name: a key of ROUNDS.
        scenario_name: in any case.
        bound_ms: the benchmark's Server bound, or None for LoadGen's own; other scenarios have
            none, and ignore it.
        dataset_samples: size of the data set, or None if unknown; Offline need not issue more.

    Raises:
        ConfigError: see `rules`; or the bound is not in whole milliseconds.
    """
    asked = rules(round_name, scenario_name)
    name = scenario(scenario_name).name
    keys: dict[str, Number] = {"min_duration": asked.min_duration_s * 1000}
    count = asked.min_query_count
    if count is not None:
        limit = dataset_samples if name == "Offline" else None
        keys["min_query_count"] = count if limit is None else min(count, limit)
    today = rules("current", name)
    if asked.percentile is not None and asked.percentile != today.percentile:
        keys["target_latency_percentile"] = asked.percentile * 100
    if asked.samples_per_query != today.samples_per_query:
        keys["samples_per_query"] = asked.samples_per_query
    if name == "Server" and bound_ms is not None:
        keys["target_latency"] = whole_ms(bound_ms, "the benchmark's Server bound")
    return keys
