"""`sut doctor --write-system`: the folder of a system, for GPUs that NVML names and for the CPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.base.process import parse_affinity
from sut.config.system import read_system
from sut.submission import system as description
from sut.telemetry.nvml import Nvml, visible_meters
from sut.verbs.new_system import Machine, choose, near_cores, write_system
from tests.sut.helpers import folders
from tests.sut.helpers.program import run_here
from tests.sut.telemetry.fake_nvml import FakeNvml

if TYPE_CHECKING:
    from sut.telemetry.meter import Facts
    from tests.sut.helpers.program import Program

CORES = range(32)


def four(cpus: tuple[str | None, ...] = ("0-15", "0-15", "16-31", "16-31")) -> list[Facts]:
    """Return four T4s with these near cores, as NVML names them."""
    gpus = visible_meters(Nvml(FakeNvml(nvmlDeviceGetCount=4)), None)
    return [replace(gpu.facts(), cpus=those) for gpu, those in zip(gpus, cpus, strict=True)]


def torch(sm: int) -> tuple[str | None, str]:
    return "torch", "tensorrt: not installed"


def nothing(sm: int) -> tuple[str | None, str]:
    return None, f"torch: sees no GPU of SM {sm}"


def written(name: Path | str, machine: Machine, *, overwrite: bool = False) -> tuple[str, Path]:
    """Write a system; return the text of its system.yaml, and its folder."""
    folder = write_system(str(name), machine, overwrite=overwrite).folder
    return (folder / "system.yaml").read_text("utf-8"), folder


def test_gpus_share_the_cores_of_their_numa_node() -> None:
    found = near_cores(four(), CORES)

    assert found == "0,1:0-15&2,3:16-31"
    assert parse_affinity(found)["3"] == "16-31"


@pytest.mark.parametrize(
    ("cpus", "allowed", "found"),
    [
        (("0-31",) * 4, CORES, ""),  # all cores are near
        ((None,) * 4, CORES, ""),  # the driver does not tell
        (("0-15", "0-15", "16-31", "16-31"), range(4, 20), "0,1:4-15&2,3:16-19"),  # a container
        (("0-15", "0-15", "16-31", None), range(17), "0,1:0-15"),  # one near core is too few
    ],
)
def test_only_cores_that_tell_devices_apart_are_named(
    cpus: tuple[str | None, ...], allowed: range, found: str
) -> None:
    assert near_cores(four(cpus), allowed) == found


def test_a_system_with_gpus_names_backend_devices_and_cores_and_no_more(tmp_path: Path) -> None:
    machine = Machine("torch", four(), near_cores(four(), CORES))

    text, folder = written(tmp_path / "mine", machine)

    file = read_system(folder)
    assert (file.backend, file.devices) == ("torch", ("0", "1", "2", "3"))
    assert file.affinity == "0,1:0-15&2,3:16-31"
    assert file.description.startswith("4 x Tesla T4 on ")
    keys = [line.split(":")[0] for line in text.splitlines() if not line.startswith("#")]
    assert keys == ["description", "backend", "devices", "affinity"]


def test_the_description_for_a_submission_has_the_gpus_and_names_what_is_blank(
    tmp_path: Path,
) -> None:
    made = write_system(str(tmp_path / "mine"), Machine("torch", four()), overwrite=False)

    found = description.read(made.folder / "system.json")
    assert found["accelerators_per_node"] == "4"
    assert found["accelerator_model_name"] == "Tesla T4"
    assert found["accelerator_memory_capacity"] == "15 GB"
    assert found["accelerator_host_interconnect"] == "PCIe Gen3 x16"
    assert made.blank == description.blanks(found)
    assert {"status", "system_name", "cooling"} <= set(made.blank)
    with pytest.raises(ConfigError, match=r"blank: .*cooling"):
        description.load(made.folder, "mine", fast=False)


def test_a_system_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    before, folder = written(tmp_path / "mine", Machine("torch", four()))

    with pytest.raises(ConfigError, match=r"system.yaml is there already.*--overwrite"):
        written(folder, Machine("onnxruntime"))

    assert (folder / "system.yaml").read_text("utf-8") == before


def test_a_description_alone_is_not_replaced_either(tmp_path: Path) -> None:
    (tmp_path / "system.json").write_text("{}", "utf-8")

    with pytest.raises(ConfigError, match=r"system.json is there already"):
        written(tmp_path, Machine("onnxruntime"))

    assert [path.name for path in tmp_path.iterdir()] == ["system.json"]


def test_overwriting_keeps_what_a_person_filled_in_and_other_files(tmp_path: Path) -> None:
    _, folder = written(tmp_path / "mine", Machine("onnxruntime"))
    (folder / "tuned.yaml").write_text("tuned: []\n", "utf-8")
    path = folder / "system.json"
    found = {**description.read(path), "cooling": "Liquid", "is_network": "false"}
    path.write_text(json.dumps(found), "utf-8")

    written(folder, Machine("torch", four()), overwrite=True)

    found = description.read(path)
    assert (found["cooling"], found["is_network"]) == ("Liquid", "false")
    assert found["accelerators_per_node"] == "4"
    assert read_system(folder).backend == "torch"
    assert {p.name for p in folder.iterdir()} == {"system.yaml", "system.json", "tuned.yaml"}


@pytest.mark.parametrize("name", ["", ".", "a b", ".hidden", "x/.hidden", "ü"])
def test_what_cannot_be_a_system_s_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"such as my_server"):
        write_system(name, Machine("onnxruntime"), overwrite=False)


def test_the_backend_that_can_use_the_gpus_is_chosen_else_the_cpu() -> None:
    gpus = four((None,) * 4)

    assert choose(gpus, 4, "", torch) == Machine("torch", gpus)
    assert choose([], 0, "NVML sees no GPU", nothing) == Machine("onnxruntime")


@pytest.mark.parametrize(
    ("count", "why_none", "said"),
    [
        (4, "", r"4 GPU\(s\), but no backend here can use them \(torch: sees no GPU of SM 75\)"),
        (0, "the package nvidia-ml-py is not installed", r"2 GPU\(s\), but the package nvidia-ml-"),
    ],
)
def test_gpus_that_nothing_can_use_are_not_passed_over(
    count: int, why_none: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        choose(four()[:count], 2, why_none, nothing)

    assert "pip install" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_overwrite_alone_is_refused() -> None:
    done = run_here("doctor", "--overwrite")

    assert (done.code, done.out) == (2, "")
    assert "--write-system" in done.err


@pytest.mark.slow
@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a GPU")
def test_a_written_system_runs(program: Program, own_yaml: Path, tmp_path: Path) -> None:
    made = program.run("doctor", "--write-system", "mine", "--json")
    words = ("-s", "SingleStream", "--min-duration-s", 0.1, "--system", "mine", "--out", "run")
    done = program.run("run", "-b", own_yaml, *words, cwd=tmp_path)

    told = json.loads(made.out)
    assert (told["folder"], told["devices"]) == ("user_confs/mine", ["cpu"])
    assert done.code in {0, 3}, done.err
    used = folders.config(tmp_path / "run")["harness"]
    assert used["devices"] == {"value": ["cpu"], "source": "mine/system.yaml"}
