"""Finding a scenario by its name."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios import SCENARIOS, scenario, scenario_names
from sut.base.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_a_scenario_is_found_in_any_case(name: str, spell: Callable[[str], str]) -> None:
    assert scenario(spell(name)).name == name


def test_an_unknown_scenario_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r'"Offline"'):
        scenario("ofline")


def test_every_scenario_says_what_the_harness_needs() -> None:
    found = {name: scenario(name) for name in scenario_names()}

    assert {name: s.samples_per_query for name, s in found.items()} == {
        "SingleStream": 1,
        "MultiStream": 8,
        "Server": 1,
        "Offline": 1,
    }
    assert {name for name, s in found.items() if s.default_workers == "inline"} == {
        "SingleStream",
        "MultiStream",
    }
    assert all(s.searches for s in found.values())


def test_every_scenario_says_when_queries_come_and_what_is_better() -> None:
    found = {name: scenario(name) for name in scenario_names()}

    assert {name: (s.arrivals, s.objective) for name, s in found.items()} == {
        "SingleStream": ("closed_loop", "latency"),
        "MultiStream": ("closed_loop", "latency"),
        "Server": ("poisson", "throughput"),
        "Offline": ("at_once", "throughput"),
    }
    assert [name for name, s in found.items() if s.has_bound] == ["Server"]
    assert len({s.metric_title for s in found.values()}) == len(found)


def test_importing_the_scenarios_loads_neither_loadgen_nor_an_engine() -> None:
    code = (
        "import sys, scenarios, scenarios.rounds, sut.record.loadgen_logs\n"
        "[scenarios.scenario(n) for n in scenarios.scenario_names()]\n"
        "heavy = {'mlperf_loadgen', 'onnxruntime', 'onnx', 'PIL', 'torch', 'numpy'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
