"""What each scenario asks LoadGen for: who wins, and that a run does not run out of queries."""

import math

import pytest

from scenarios import scenario, scenario_names
from scenarios.base import Capacity, Expected, Load
from scenarios.load import MAX_RATE_SAMPLES, MAX_STREAM_QUERIES
from scenarios.server import MOST_QPS
from sut.base.errors import ConfigError
from sut.record.loadgen_logs import read_detail
from tests.scenarios.real_loadgen import Run, logs

CAPACITY = Capacity(1000.0, 1000.0, 4e6)
NULL_ENGINE = Capacity(1e9, 1e9, 100.0)
STREAMS = ("SingleStream", "MultiStream")


@pytest.mark.parametrize("name", scenario_names())
def test_the_users_minimums_are_written_in_loadgens_units(name: str) -> None:
    load = Load(min_duration_s=2.5, min_query_count=300)

    keys = scenario(name).settings(load, CAPACITY, {"min_duration": 60000}, accuracy=False)

    assert keys["min_duration"] == 2500
    assert keys["min_query_count"] == 300
    assert isinstance(keys["min_duration"], int)


@pytest.mark.parametrize("name", scenario_names())
def test_nothing_is_written_that_nobody_said_and_loadgen_knows(name: str) -> None:
    """Server's rate is given here: with one of our own it also asks for enough queries."""
    conf = {"target_qps": 100.0} if name == "Server" else {}

    keys = scenario(name).settings(Load(), CAPACITY, conf, accuracy=False)

    assert not {"min_duration", "min_query_count"} & keys.keys()


@pytest.mark.parametrize("name", STREAMS)
def test_the_expected_latency_is_half_of_the_measured_one(name: str) -> None:
    keys = scenario(name).settings(Load(), CAPACITY, {}, accuracy=False)

    assert keys == {"target_latency": 2.0}


@pytest.mark.parametrize("name", STREAMS)
def test_the_expected_latency_bounds_the_generated_queries(name: str) -> None:
    keys = scenario(name).settings(Load(), NULL_ENGINE, {}, accuracy=False)

    # LoadGen generates queries for twice 600 s.
    assert 2 * 600e3 / keys["target_latency"] == pytest.approx(MAX_STREAM_QUERIES)


@pytest.mark.parametrize("name", STREAMS)
def test_a_short_run_of_a_fast_engine_is_not_bounded_by_memory(name: str) -> None:
    load = Load(min_duration_s=0.1)

    fast = scenario(name).settings(load, Capacity(1e5, 1e5, 10e3), {}, accuracy=False)
    null = scenario(name).settings(load, NULL_ENGINE, {}, accuracy=False)

    assert fast["target_latency"] == 0.005
    assert null["target_latency"] == 0.004  # half of what a query takes without an engine


def test_offline_expects_more_than_the_measured_rate() -> None:
    keys = scenario("Offline").settings(Load(), CAPACITY, {}, accuracy=False)

    assert keys == {"target_qps": 1100.0}


def test_server_begins_at_a_share_of_the_measured_rate() -> None:
    keys = scenario("Server").settings(Load(), CAPACITY, {}, accuracy=False)

    assert keys == {"target_qps": 400.0, "coalesce_queries": 1, "min_query_count": 838}


def test_server_begins_at_no_more_than_one_dispatcher_keeps_up_with() -> None:
    keys = scenario("Server").settings(Load(), NULL_ENGINE, {"min_duration": 20000}, accuracy=False)

    assert keys["target_qps"] == MOST_QPS


def test_a_measured_rate_asks_for_no_more_samples_than_memory_holds() -> None:
    conf = {"min_duration": 20000}

    keys = scenario("Offline").settings(Load(), NULL_ENGINE, conf, accuracy=False)

    assert keys["target_qps"] * 20 == pytest.approx(MAX_RATE_SAMPLES)


@pytest.mark.parametrize("name", ["Server", "Offline"])
def test_a_rate_that_the_user_asks_for_is_not_bounded(name: str) -> None:
    keys = scenario(name).settings(Load(target_qps=1e9), NULL_ENGINE, {}, accuracy=False)

    assert keys["target_qps"] == 1e9


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("SingleStream", "target_latency"),
        ("MultiStream", "target_latency"),
        ("Server", "target_qps"),
        ("Offline", "target_qps"),
    ],
)
def test_user_conf_wins_over_what_was_measured(name: str, key: str) -> None:
    keys = scenario(name).settings(Load(), CAPACITY, {key: 77}, accuracy=False)

    assert key not in keys


@pytest.mark.parametrize("name", STREAMS)
def test_the_users_expected_latency_wins_over_user_conf(name: str) -> None:
    load = Load(target_latency_ms=0.25)

    keys = scenario(name).settings(load, CAPACITY, {"target_latency": 77}, accuracy=False)

    assert keys["target_latency"] == 0.25


def test_the_users_rate_and_bound_win_over_user_conf() -> None:
    load = Load(target_qps=12.5, target_latency_ms=30.0)
    conf = {"target_qps": 77, "target_latency": 15, "coalesce_queries": 0}

    keys = scenario("Server").settings(load, CAPACITY, conf, accuracy=False)

    assert keys == {"target_qps": 12.5, "target_latency": 30}
    assert isinstance(keys["target_latency"], int)


@pytest.mark.parametrize("name", [*STREAMS, "Offline"])
def test_accuracy_mode_needs_no_measured_value(name: str) -> None:
    assert scenario(name).settings(Load(), CAPACITY, {}, accuracy=True) == {}


@pytest.mark.parametrize(("given", "written"), [(50.0, 1000.0), (2000.0, 2000.0)])
def test_accuracy_mode_raises_the_servers_rate_but_never_lowers_it(
    given: float, written: float
) -> None:
    server = scenario("Server")

    from_load = server.settings(Load(target_qps=given), CAPACITY, {}, accuracy=True)
    from_conf = server.settings(Load(), CAPACITY, {"target_qps": given}, accuracy=True)

    assert from_load["target_qps"] == written
    assert from_conf["target_qps"] == written


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["Server", "Offline"])
def test_a_rate_that_is_not_above_zero_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=r"target_qps .*--target-qps"):
        scenario(name).settings(Load(target_qps=value), CAPACITY, {}, accuracy=False)


@pytest.mark.parametrize("value", [0.0, 7.5, math.nan, math.inf])
def test_a_bound_that_loadgen_cannot_read_is_refused(value: float) -> None:
    load = Load(target_latency_ms=value)

    with pytest.raises(ConfigError, match=r"whole number"):
        scenario("Server").settings(load, CAPACITY, {}, accuracy=False)


@pytest.mark.parametrize("load", [Load(min_duration_s=-1.0), Load(min_duration_s=math.nan)])
def test_a_negative_duration_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="--min-duration-s"):
        scenario("Server").settings(load, CAPACITY, {}, accuracy=False)


def test_no_queries_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="--min-query-count"):
        scenario("Offline").settings(Load(min_query_count=0), CAPACITY, {}, accuracy=False)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("SingleStream", Load(target_qps=5.0)),
        ("MultiStream", Load(target_qps=5.0)),
        ("Offline", Load(target_latency_ms=5.0)),
    ],
)
def test_a_value_that_the_scenario_would_ignore_is_refused(name: str, load: Load) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no target_"):
        scenario(name).settings(load, CAPACITY, {}, accuracy=False)


def test_a_warm_up_that_measured_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="warm-up measured is 0"):
        scenario("Offline").settings(Load(), Capacity(0.0, 0.0, 0.0), {}, accuracy=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_a_warm_up_twice_too_slow_still_makes_enough_queries(name: str) -> None:
    true_s = 0.0003
    slow = Capacity(1.0, 1.0, 2 * true_s * 1e9)
    keys = scenario(name).settings(Load(min_duration_s=0.1), slow, {}, accuracy=False)

    folder = logs(Run(name, tuple(keys.items()), query_s=true_s))

    assert read_detail(folder).validity == "VALID"


@pytest.mark.slow
def test_a_warm_up_a_tenth_too_slow_still_makes_enough_offline_samples() -> None:
    true_s = 0.0005
    slow = Capacity(0.9 / true_s, 0.9 / true_s, 1e6)
    load = Load(min_duration_s=0.1, min_query_count=1)
    keys = scenario("Offline").settings(load, slow, {}, accuracy=False)

    folder = logs(Run("Offline", tuple(keys.items()), sample_s=true_s))

    assert read_detail(folder).validity == "VALID"


@pytest.mark.slow
def test_loadgen_takes_over_every_key_of_server() -> None:
    load = Load(target_qps=1234.5, target_latency_ms=30.0, min_duration_s=0.05, min_query_count=60)
    keys = scenario("Server").settings(load, CAPACITY, {}, accuracy=False)

    detail = read_detail(logs(Run("Server", tuple(keys.items()))))

    assert detail["effective_target_qps"] == 1234.5
    assert detail["effective_target_latency_ns"] == 30_000_000
    assert detail["effective_min_duration_ms"] == 50
    assert detail["effective_min_query_count"] == 60
    assert detail["requested_server_coalesce_queries"] is True


@pytest.mark.parametrize(
    ("name", "load", "fragment"),
    [
        ("Offline", Load(target_latency_ms=15.0), "target_latency_ms"),
        ("SingleStream", Load(target_qps=100.0), "target_qps"),
        ("MultiStream", Load(target_latency_ms=0.0), "--target-latency-ms"),
        ("Server", Load(target_latency_ms=0.5), "whole number"),
        ("Server", Load(target_qps=-1.0), "--target-qps"),
        ("Offline", Load(min_query_count=0), "--min-query-count"),
    ],
)
def test_what_a_scenario_cannot_do_is_refused_before_anything_is_measured(
    name: str, load: Load, fragment: str
) -> None:
    with pytest.raises(ConfigError, match=fragment):
        scenario(name).check(load)


@pytest.mark.parametrize(
    ("name", "conf", "expected"),
    [
        ("Server", {"min_duration": 5000, "min_query_count": 300}, Expected(5.0, 300)),
        ("SingleStream", {}, Expected(600.0, 1)),
        ("MultiStream", {"min_query_count": 662}, Expected(600.0, 8 * 662)),
        ("Offline", {"min_duration": 10000, "target_qps": 100.0}, Expected(None, 1100)),
        ("Offline", {"min_duration": 0, "min_query_count": 24576}, Expected(None, 24576)),
    ],
)
def test_a_scenario_knows_how_far_a_run_goes(
    name: str, conf: dict[str, float], expected: Expected
) -> None:
    assert scenario(name).expected(conf) == expected
