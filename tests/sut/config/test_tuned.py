"""What was found is written where `sut run` finds it, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.harness_defaults import HarnessDefaults
from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.tuned import Tuned, read_tuned
from sut.config.tuned_writer import keep_rate, keep_tuned

SYSTEM = """\
description: four devices
backend: simulated
devices: ["0", "1"]
harness: {workers: process}
benchmarks:
  resnet50:
    Server: {max_batch_size: 26, slots: 8, backend_options: {curve: resnet50-t4}}
"""
FOUND = HarnessDefaults(
    max_batch_size=45,
    device_max_batch_size={"1": 20},
    max_queue_delay_us=4200,
    slots=4,
    instances=2,
    workers="thread",
)
ENTRY = Tuned(
    benchmark="resnet50",
    scenario="Server",
    backend="simulated",
    devices=("0", "1"),
    harness=FOUND,
    model="",
    target_qps=20950.5,
    found="3 of 3 runs VALID",
)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "system.yaml").write_text(SYSTEM, "utf-8")
    return tmp_path


def keep(system: Path, **changes: object) -> Path:
    """Keep what was found with the system's own devices, or something else."""
    return keep_tuned(system, msgspec.structs.replace(ENTRY, **changes))


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
    keep(system, benchmark="mobilenet")
    keep(system, scenario="Offline")

    path = keep(system, benchmark="mobilenet", harness=HarnessDefaults(slots=1), found="again")

    text = path.read_text("utf-8")
    assert text.startswith("# Written by `sut tune`")
    assert text.count("3 of 3 runs VALID") == 1
    assert text.count("again") == 1


def test_entries_of_other_devices_stay_when_one_is_written(system: Path) -> None:
    keep(system, devices=("0",), found="one device")
    keep(system, backend="tensorrt", found="another backend")
    keep(system, devices=("1", "0"), found="replaced")
    keep(system)

    entries = read_tuned(system).tuned

    assert [entry.found for entry in entries] == [
        "one device", "another backend", "3 of 3 runs VALID",
    ]  # fmt: skip
    assert entries[-1] == ENTRY


@pytest.mark.parametrize(
    "words",
    [{"devices": ("0",)}, {"devices": ("cpu",)}, {"backend": "null"}, {"devices": ("0", "1", "2")}],
)
def test_what_was_tuned_for_other_devices_is_not_applied(
    system: Path, words: dict[str, Any]
) -> None:
    keep(system)

    plan = resolve(Arguments("resnet50", "Server", system=str(system), **words))

    assert plan.harness.max_batch_size == 26
    (note,) = plan.notes()
    assert "backend simulated, devices 0,1" in note


def test_what_was_tuned_on_a_cluster_is_for_its_file_alone(system: Path, tmp_path: Path) -> None:
    text = 'nodes: [{name: alpha, address: "127.0.0.1:7700", devices: ["0", "1"]}]'
    files = [tmp_path / "cluster.yaml", tmp_path / "other.yaml"]
    for file in files:
        file.write_text(text, "utf-8")
    caps = msgspec.structs.replace(FOUND, workers=None, device_max_batch_size={"alpha/1": 20})
    on_nodes = {"devices": ("alpha/0", "alpha/1"), "cluster": "cluster.yaml"}
    keep(system, harness=caps, **on_nodes)

    own, other, here = (
        resolve(Arguments("resnet50", "Server", system=str(system), cluster=file))
        for file in (*files, None)
    )

    assert own.harness.max_batch_size == 45
    assert own.harness.cap("alpha/1") == 20
    assert other.harness.max_batch_size == here.harness.max_batch_size == 26
    assert "cluster cluster.yaml; this run uses" in other.notes()[0]
    assert "cluster other.yaml" in other.notes()[0]


def test_what_was_tuned_for_another_model_is_not_applied(system: Path) -> None:
    keep(system, model="small.onnx")
    asked = Arguments("resnet50", "Server", system=str(system))

    plan = resolve(asked)
    same = resolve(replace(asked, model=Path("elsewhere/small.onnx")))

    assert plan.harness.max_batch_size == 26
    (note,) = plan.notes()
    assert "model small.onnx" in note
    assert (same.harness.max_batch_size, same.notes()) == (45, [])


def test_what_was_tuned_with_pixels_is_for_pixels_alone(system: Path) -> None:
    keep(system, pixels=True)
    asked = Arguments("resnet50", "Server", system=str(system))

    plan, same = resolve(asked), resolve(replace(asked, pixels=True))

    assert plan.harness.max_batch_size == 26
    assert "devices 0,1, samples as pixels" in plan.notes()[0]
    assert (same.harness.max_batch_size, same.notes()) == (45, [])
    assert same.benchmark.inputs[0].dtype == "uint8"


def test_an_entry_that_names_no_model_holds_for_all(system: Path) -> None:
    keep(system, model=None)

    plan = resolve(Arguments("resnet50", "Server", system=str(system), model=Path("small.onnx")))

    assert plan.harness.max_batch_size == 45


def test_the_order_of_the_devices_does_not_matter(system: Path) -> None:
    keep(system)

    plan = resolve(Arguments("resnet50", "Server", system=str(system), devices=("1", "0")))

    assert (plan.harness.max_batch_size, plan.notes()) == (45, [])


def test_a_rate_of_user_conf_that_was_tuned_for_other_devices_is_not_applied(system: Path) -> None:
    keep(system)
    keep_rate(system, "resnet50", "Server", 20950.5, ["resnet50"])

    here = resolve(Arguments("resnet50", "Server", system=str(system)))
    there = resolve(Arguments("resnet50", "Server", system=str(system), devices=("0",)))

    assert here.loadgen_settings(10)["target_qps"].value == 20950.5
    assert here.notes() == []
    assert "target_qps" not in there.loadgen_settings(10)
    assert "target_qps" not in there.user_conf_settings()
    assert any("user.conf:2" in note and "20950.5" in note for note in there.notes())


def test_each_of_two_sets_of_devices_keeps_its_own_rate(system: Path) -> None:
    keep(system)
    keep(system, devices=("0",), target_qps=9000.0)
    keep_rate(system, "resnet50", "Server", 9000.0, ["resnet50"])  # the last tuning wrote it

    rate = resolve(Arguments("resnet50", "Server", system=str(system))).loadgen_settings(10)

    assert (rate["target_qps"].value, rate["target_qps"].source) == (
        20950.5, f"{system.name}/tuned.yaml",
    )  # fmt: skip


def test_a_rate_that_a_person_wrote_is_applied_everywhere(system: Path) -> None:
    keep(system)
    (system / "user.conf").write_text("resnet50.Server.target_qps = 123\n", "utf-8")
    mine = system / "mine.conf"
    mine.write_text("resnet50.Server.target_qps = 20950.5\n", "utf-8")
    arguments = Arguments("resnet50", "Server", system=str(system), devices=("0",))

    assert resolve(arguments).loadgen_settings(10)["target_qps"].value == 123
    given = resolve(replace(arguments, user_conf=mine))
    assert given.loadgen_settings(10)["target_qps"].value == 20950.5


OLD = """\
benchmarks:
  resnet50:
    Server: {found: 3 of 3 runs VALID, harness: {max_batch_size: 45}}
"""


def test_an_older_file_that_names_no_devices_is_kept_and_not_applied(system: Path) -> None:
    (system / "tuned.yaml").write_text(OLD, "utf-8")

    plan = resolve(Arguments("resnet50", "Server", system=str(system)))
    path = keep(system, scenario="Offline")

    assert plan.harness.max_batch_size == 26
    assert ["Run sut tune again" in note for note in plan.notes()] == [True]
    assert read_tuned(system).benchmarks["resnet50"]["Server"].harness.max_batch_size == 45
    assert path.read_text("utf-8").count("3 of 3 runs VALID") == 2


def test_a_misspelt_key_of_tuned_yaml_names_its_line(system: Path) -> None:
    (system / "tuned.yaml").write_text("tuned:\n- benchmrk: resnet50\n", "utf-8")

    with pytest.raises(ConfigError, match=r"tuned\.yaml:2: .*benchmark"):
        resolve(Arguments("resnet50", "Server", system=str(system)))


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
