"""What was found is written where `sut run` finds it, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from data.schema import HarnessDefaults
from sut.base.errors import ConfigError
from sut.config.plan import Arguments, resolve
from sut.tuner.job import Candidate, Variant
from sut.tuner.tuned import keep_harness, keep_rate

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = """\
description: four devices
backend: simulated
devices: ["0", "1"]
harness: {workers: process}
benchmarks:
  resnet50:
    Server: {max_batch_size: 26, slots: 8, backend_options: {curve: resnet50-t4}}
"""
FOUND = Candidate(45, 4200, 4, "thread", Variant(2), (("1", 20),))


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "system.yaml").write_text(SYSTEM, "utf-8")
    return tmp_path


def keep(system: Path, benchmark: str = "resnet50", scenario: str = "Server") -> Path:
    return keep_harness(system, benchmark, scenario, FOUND.harness(), "3 of 3 runs VALID")


def test_a_run_uses_what_was_found_before_what_the_system_says(system: Path) -> None:
    keep(system)

    plan = resolve(Arguments("resnet50", "Server", system=str(system)))

    harness = plan.harness
    assert (harness.max_batch_size, harness.max_queue_delay_us) == (45, 4200)
    assert (harness.slots, harness.workers, harness.instances) == (4, "thread", 2)
    assert harness.device_max_batch_size == {"1": 20}
    assert harness.backend_options == {"curve": "resnet50-t4"}
    assert plan.settings["max_batch_size"].source == f"{system.name}/tuned.yaml"


def test_the_command_line_wins_over_what_was_found(system: Path) -> None:
    keep(system)

    plan = resolve(Arguments("resnet50", "Server", system=str(system), max_batch_size=3))

    assert plan.harness.max_batch_size == 3


def test_other_scenarios_are_as_they_were(system: Path) -> None:
    keep(system)

    plan = resolve(
        Arguments("resnet50", "Offline", system=str(system), backend_options={"base_ms": 1.0})
    )

    assert plan.harness.max_batch_size != 45


def test_entries_of_other_benchmarks_stay_when_one_is_written_anew(system: Path) -> None:
    keep(system, "mobilenet")
    keep(system, scenario="Offline")

    path = keep_harness(system, "mobilenet", "Server", HarnessDefaults(slots=1), "again")

    text = path.read_text("utf-8")
    assert text.startswith("# Written by `sut tune`")
    assert text.count("3 of 3 runs VALID") == 1
    assert text.count("again") == 1


def test_a_cap_of_a_device_that_is_not_there_is_refused(system: Path) -> None:
    caps = {"7": 3}

    with pytest.raises(ConfigError, match=r'"7".*0, 1'):
        resolve(Arguments("resnet50", "Server", system=str(system), device_max_batch_size=caps))


def test_one_line_of_user_conf_changes_and_the_others_stay(system: Path) -> None:
    path = system / "user.conf"
    path.write_text(
        "# ours\n*.*.min_duration = 60000\n  resnet50.Server.target_qps = 5\n"
        "resnet50.Offline.target_qps = 7\n",
        "utf-8",
    )

    keep_rate(system, "resnet50", "Server", 20950.5, ["resnet50"])

    assert path.read_text("utf-8") == (
        "# ours\n*.*.min_duration = 60000\nresnet50.Server.target_qps = 20950.5\n"
        "resnet50.Offline.target_qps = 7\n"
    )


def test_a_line_that_is_missing_is_added_below(system: Path) -> None:
    (system / "user.conf").write_text("*.*.min_duration = 60000", "utf-8")

    path = keep_rate(system, "resnet50", "Server", 100.0, ["resnet50"])

    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "*.*.min_duration = 60000"
    assert lines[-1] == "resnet50.Server.target_qps = 100"


def test_a_user_conf_is_made_where_there_was_none(system: Path) -> None:
    path = keep_rate(system, "resnet50", "Server", 100.0, ["resnet50"])

    plan = resolve(Arguments("resnet50", "Server", system=str(system)))

    assert plan.loadgen_settings(10)["target_qps"].value == 100
    assert path == system / "user.conf"


def test_a_broken_user_conf_is_left_alone(system: Path) -> None:
    path = system / "user.conf"
    path.write_text("resnet50.Server.target_qsp = 5\n", "utf-8")

    with pytest.raises(ConfigError, match="target_qps"):
        keep_rate(system, "resnet50", "Server", 100.0, ["resnet50"])

    assert path.read_text("utf-8") == "resnet50.Server.target_qsp = 5\n"
