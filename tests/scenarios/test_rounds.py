"""What each round of MLPerf asks, as LoadGen reads it."""

import pytest

from scenarios import scenario_names
from scenarios.rounds import ROUNDS, round_settings, rules
from sut.base.errors import ConfigError
from sut.record.loadgen_logs import read_detail
from tests.scenarios.real_loadgen import logs
from tests.scenarios.runs import ACCURACY


@pytest.mark.parametrize("round_name", ROUNDS)
def test_a_round_has_rules_for_every_scenario(round_name: str) -> None:
    assert set(ROUNDS[round_name]) == set(scenario_names())


def test_todays_server_run_is_600_s_under_the_benchmarks_bound() -> None:
    assert round_settings("current", "server", 15.0) == {
        "min_duration": 600_000,
        "target_latency": 15,
    }


def test_a_benchmark_without_a_bound_keeps_loadgens() -> None:
    assert "target_latency" not in round_settings("current", "Server")


@pytest.mark.parametrize("name", ["SingleStream", "MultiStream", "Offline"])
def test_the_servers_bound_does_not_reach_the_other_scenarios(name: str) -> None:
    assert "target_latency" not in round_settings("current", name, 15.0)


def test_the_server_of_2019_ran_270336_queries_five_times() -> None:
    assert round_settings("v0.5", "Server", 15.0) == {
        "min_duration": 60_000,
        "min_query_count": 270_336,
        "target_latency": 15,
    }
    assert rules("v0.5", "Server").runs == 5


@pytest.mark.parametrize(("samples", "count"), [(None, 24_576), (50_000, 24_576), (1_525, 1_525)])
def test_offline_issues_24576_samples_or_the_data_set(samples: int | None, count: int) -> None:
    assert round_settings("current", "Offline", None, samples)["min_query_count"] == count


def test_the_multistream_of_2019_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"--round current"):
        round_settings("v0.5", "MultiStream")


def test_an_unknown_round_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r'Did you mean "v0\.5"'):
        rules("v0.6", "Server")


def test_a_bound_with_a_fraction_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole number"):
        round_settings("current", "Server", 7.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_the_rules_of_today_are_loadgens_own(name: str) -> None:
    expected = rules("current", name)
    # These runs set no more than Server's rate: the rest is LoadGen's built-in mlperf.conf.
    detail = read_detail(logs(ACCURACY[name]))

    assert detail["effective_min_duration_ms"] == expected.min_duration_s * 1000
    if name != "Offline":
        assert detail["effective_target_latency_percentile"] == expected.percentile
        assert detail["effective_samples_per_query"] == expected.samples_per_query
        assert detail["effective_min_query_count"] == (expected.min_query_count or 100)
