"""A load that cannot fit in memory is refused before LoadGen takes all of the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios import scenario
from sut.base.errors import ConfigError
from sut.load.schedule import check_fits, queries
from tests.sut.helpers import folders
from tests.sut.helpers.program import Program

GB = 1_000_000_000
RATE, COUNT = r"Lower the rate or the duration\.", r"Lower min_query_count\."
# Scenario, keys of user.conf, how many queries (or samples) these are, and the remedy.
CASES: dict[str, tuple[str, dict[str, float], float, str]] = {
    "Server by rate": ("Server", {"target_qps": 1e9, "min_duration": 600_000}, 6e11, RATE),
    "Server by count": (
        "Server", {"target_qps": 1, "min_duration": 1000, "min_query_count": 10**12}, 1e12, COUNT,
    ),
    "Server of the default duration": ("Server", {"target_qps": 1e8}, 6e10, RATE),
    "Offline by rate": ("Offline", {"target_qps": 1e9, "min_duration": 600_000}, 6.6e11, RATE),
    "Offline by count": ("Offline", {"target_qps": 1, "min_query_count": 10**11}, 1e11, COUNT),
    "SingleStream by latency": (
        "SingleStream", {"target_latency": 1e-6, "min_duration": 600_000}, 1.2e12,
        r"Raise target_latency",
    ),
    "MultiStream by count": ("MultiStream", {"min_query_count": 10**10}, 1e10, COUNT),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_c8_a_schedule_that_does_not_fit_is_refused_with_the_estimate(name: str) -> None:
    scenario_name, conf, count, remedy = CASES[name]
    rules = scenario(scenario_name)

    assert queries(rules, conf) == pytest.approx(count, rel=0.2)
    with pytest.raises(ConfigError, match=rf"GB in LoadGen.* 20\.0 GB of memory .*{remedy}"):
        check_fits(rules, conf, 20 * GB)


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        # 8 GPUs for ten minutes, the longest of published runs.
        ("Server", {"target_qps": 10_000.0, "min_duration": 600_000}),
        ("Offline", {"target_qps": 40_000.0, "min_duration": 600_000}),
        ("SingleStream", {"target_latency": 0.12, "min_duration": 600_000}),
        ("MultiStream", {"target_latency": 0.5, "min_duration": 600_000}),
    ],
)
def test_c8_usual_loads_fit(name: str, conf: dict[str, float]) -> None:
    check_fits(scenario(name), conf, 20 * GB)

    with pytest.raises(ConfigError, match="GB in LoadGen"):
        check_fits(scenario(name), conf, GB // 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Server", "Offline"])
def test_c8_the_program_refuses_a_load_beyond_memory(
    program: Program, tmp_path: Path, name: str
) -> None:
    words = ("run", "-b", "efficientnet-lite0", "-s", name, "--backend", "null", "--out", "out")

    done = program.run(*words, "--target-qps", 1e9, cwd=tmp_path)

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert "GB of memory" in line
    assert folders.contents(tmp_path) == set()
