"""Rounds as data: seeds belong to a LoadGen, benchmarks to a division and a type of system."""

from __future__ import annotations

import re
from dataclasses import asdict

import mlperf_loadgen as lg
import pytest

from data.benchmark import load_benchmark
from data.rounds import (
    LATEST,
    checker_name,
    require_loadgen,
    round_named,
    round_of_seeds,
)
from data.rounds.tables import ROUNDS
from sut.base.errors import ConfigError
from sut.load.loadgen import version
from sut.submission.order import rules_for, scenarios_for

RESNET = load_benchmark("resnet50")
OWN = load_benchmark("efficientnet-lite0")


def test_the_latest_round_has_the_seeds_of_the_loadgen_that_is_installed() -> None:
    settings = lg.TestSettings()
    settings.FromConfig("", "resnet50", "Server", 0)  # the built-in mlperf.conf alone

    require_loadgen(round_named(LATEST), version())

    seeds = asdict(round_named(LATEST).seeds)
    assert seeds == {name: getattr(settings, name) for name in seeds}


@pytest.mark.parametrize(
    ("loadgen", "round_name"),
    [("6.0.17", "v6.1"), ("6.0.16", "v6.1"), ("6.0.15", "v6.0"), ("6.0.5", "v6.0"),
     ("6.0.4", "v5.1"), ("5.1.0", "v5.1")],
)  # fmt: skip
def test_a_loadgen_carries_the_seeds_of_one_round(loadgen: str, round_name: str) -> None:
    for name, round_ in ROUNDS.items():
        if name == round_name:
            require_loadgen(round_, loadgen)
        else:
            with pytest.raises(ConfigError, match=f"--round {re.escape(name)}"):
                require_loadgen(round_, loadgen)


def test_a_refused_round_says_which_one_to_use_and_what_to_install() -> None:
    with pytest.raises(ConfigError) as refused:
        require_loadgen(round_named("v5.1"), "6.0.17")

    assert "6.0.17 is installed" in str(refused.value)
    assert "Use --round v6.1" in str(refused.value)
    assert '"mlcommons-loadgen>=5.1.0,<=6.0.4"' in str(refused.value)


def test_a_round_that_no_loadgen_carries_can_only_be_checked() -> None:
    with pytest.raises(ConfigError, match=r"v0\.5: .*checked but not run"):
        require_loadgen(round_named("v0.5"), "6.0.17")


@pytest.mark.parametrize("name", ROUNDS)
def test_a_round_is_found_by_its_seeds(name: str) -> None:
    assert round_of_seeds(ROUNDS[name].seeds.qsl_rng_seed) is ROUNDS[name]


def test_unknown_seeds_are_of_no_round() -> None:
    assert round_of_seeds(1) is None


def test_a_folder_is_called_by_the_model_an_alias_or_the_mapping() -> None:
    round_ = round_named("v6.1")

    assert checker_name(round_, "resnet50", {}) == "resnet"
    assert checker_name(round_, "mynet", {"mynet": "yolo-95"}) == "yolo-95"
    assert checker_name(round_, "mynet", {}) not in round_.models


@pytest.mark.parametrize(
    ("checker", "loadgen"),
    [("resnet", "resnet50"), ("yolo-99", "yolo"), ("3d-unet-99.9", "3d-unet")],
)
def test_loadgen_has_names_of_its_own(checker: str, loadgen: str) -> None:
    assert round_named("v6.1").models[checker].loadgen_name == loadgen


def test_closed_knows_only_the_rounds_own_benchmarks() -> None:
    round_ = round_named("v6.1")

    assert rules_for(round_, RESNET, "closed", None).name == "resnet"
    with pytest.raises(ConfigError, match=r"efficientnet-lite0 in closed"):
        rules_for(round_, OWN, "closed", None)
    with pytest.raises(ConfigError, match=r"--stands-for: .*closed"):
        rules_for(round_, OWN, "closed", "resnet")


def test_in_closed_a_benchmark_with_several_names_is_one_of_them() -> None:
    round_, yolo = round_named("v6.1"), load_benchmark("yolo11l")

    assert rules_for(round_, yolo, "closed", None).name == "yolo-99"
    assert rules_for(round_, yolo, "closed", "yolo-95").target == pytest.approx(50.73)
    with pytest.raises(ConfigError, match=r"--stands-for: .*Name one of yolo-99, yolo-95"):
        rules_for(round_, yolo, "closed", "resnet")


@pytest.mark.parametrize(
    ("name", "round_name", "model"),
    [
        ("yolo11l", "v6.1", "yolo-99"),
        ("retinanet", "v5.1", "retinanet"),
        ("ssd-mobilenet", "v0.5", "ssd-small"),
        ("ssd-resnet34", "v0.5", "ssd-large"),
    ],
)
def test_a_detector_has_the_counts_and_the_target_of_its_round(
    name: str, round_name: str, model: str
) -> None:
    benchmark, rules = load_benchmark(name), round_named(round_name).models[model]

    assert rules_for(round_named(round_name), benchmark, "closed", None) is rules
    assert benchmark.accuracy.count == rules.dataset_size
    assert benchmark.accuracy.target == pytest.approx(rules.target / 100)
    assert benchmark.performance_sample_count == rules.performance_sample_count
    bound = benchmark.rules("Server", "v0.5" if round_name == "v0.5" else "current")
    assert bound.target_latency_ms == rules.server_bound_ms


def test_in_open_a_model_stands_for_one_of_the_round() -> None:
    round_ = round_named("v6.1")

    assert rules_for(round_, OWN, "open", None).name == "resnet"
    assert rules_for(round_, OWN, "open", "yolo-95").name == "yolo-95"
    with pytest.raises(ConfigError, match=r'Did you mean "yolo-95"'):
        rules_for(round_, OWN, "open", "yolo95")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("edge", {"SingleStream", "MultiStream", "Offline"}),
     ("edge,datacenter", {"SingleStream", "MultiStream", "Offline", "Server"})],
)  # fmt: skip
def test_the_type_of_the_system_decides_on_the_scenarios(kind: str, expected: set[str]) -> None:
    rules = round_named("v6.1").models["resnet"]

    assert set(scenarios_for(rules, {"system_type": kind}, "closed", ())) == expected


def test_closed_refuses_a_scenario_or_a_type_that_the_round_has_not() -> None:
    rules = round_named("v6.1").models["resnet"]

    with pytest.raises(ConfigError, match=r"Server .*resnet"):
        scenarios_for(rules, {"system_type": "edge"}, "closed", ("Server",))
    with pytest.raises(ConfigError, match=r'"datacenter"'):
        scenarios_for(rules, {"system_type": "datacenter"}, "closed", ())
