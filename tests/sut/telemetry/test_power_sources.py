"""Who tells the power: files as Linux shows them, a stand-in for jtop, and the choice."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from sut.telemetry import hwmon, power_sources
from sut.telemetry.jtop import JtopError, open_jtop
from sut.telemetry.power_sources import Candidate, candidates, choose

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path, **contents: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(f"{content}\n", "ascii")


def orin(root: Path, board: str = "VDD_IN") -> None:
    """The INA3221 of an Orin Nano: three rails, and a sum of shunts without a voltage."""
    files(
        root / "class/hwmon/hwmon3", name="ina3221",
        in1_label=board, in1_input=5000, curr1_input=1200,
        in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=400,
        in7_label="sum of shunt voltages", curr4_input=77,
    )  # fmt: skip


def test_a_jetsons_power_is_that_of_the_whole_board(tmp_path: Path) -> None:
    orin(tmp_path)

    (meter,) = hwmon.meters(tmp_path)

    assert (meter.device, meter.facts().source) == ("VDD_IN", "hwmon")
    assert meter.sample().power_w == pytest.approx(6.0)


def test_without_a_rail_of_the_whole_board_every_rail_is_a_meter(tmp_path: Path) -> None:
    orin(tmp_path, board="VDD_SOC")

    assert {m.device: m.sample().power_w for m in hwmon.meters(tmp_path)} == {
        "VDD_SOC": pytest.approx(6.0), "VDD_CPU_GPU_CV": pytest.approx(2.0),
    }  # fmt: skip


def test_an_old_jetson_shows_its_rails_as_industrial_io(tmp_path: Path) -> None:
    folder = tmp_path / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files(folder, rail_name_0="POM_5V_IN", in_power0_input=2481)
    files(folder, rail_name_1="POM_5V_GPU", in_power1_input=40)

    (meter,) = hwmon.meters(tmp_path)

    assert meter.device == "POM_5V_IN"
    assert meter.sample().power_w == pytest.approx(2.481)


def test_a_server_s_meter_gives_microwatts(tmp_path: Path) -> None:
    folder = tmp_path / "class/hwmon/hwmon0"
    files(folder, name="power_meter", power1_average=312_000_000)

    (meter,) = hwmon.meters(tmp_path)

    assert meter.sample().power_w == pytest.approx(312.0)


def test_sensors_of_other_things_and_broken_files_are_no_meters(tmp_path: Path) -> None:
    files(tmp_path / "class/hwmon/hwmon0", name="coretemp", power1_input=5)
    files(tmp_path / "class/hwmon/hwmon1", name="ina219", power1_input="")

    assert hwmon.meters(tmp_path) == []


class JtopException(Exception):
    pass


def jtop(monkeypatch: pytest.MonkeyPatch, error: str = "") -> SimpleNamespace:
    """Install a stand-in for the package."""
    board = SimpleNamespace(
        board={"hardware": {"Model": "Orin Nano"}}, power={"tot": {"power": 7340}, "rail": {}}
    )

    def start() -> None:
        if error:
            raise JtopException(error)

    board.start, board.close = start, lambda: setattr(board, "closed", True)
    board.ok = lambda: True
    module = ModuleType("jtop")
    module.__dict__.update(JtopException=JtopException, jtop=lambda interval: board)
    monkeypatch.setitem(sys.modules, "jtop", module)
    return board


def test_jtop_tells_the_power_of_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    board = jtop(monkeypatch)

    with open_jtop() as meter:
        assert meter.sample().power_w == pytest.approx(7.34)
        assert meter.facts().name == "Orin Nano"

    assert board.closed


def test_a_jtop_without_its_service_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    jtop(monkeypatch, "The jtop.service is not active")

    with pytest.raises(JtopError, match="service is not active"), open_jtop():
        pass


def test_the_first_source_that_is_there_is_chosen_with_the_reasons() -> None:
    found = [
        Candidate("nvml", "each GPU"), Candidate("rapl", "1 CPU package(s)", "unreadable"),
        Candidate("hwmon", "the board's sensors: VDD_IN"), Candidate("jtop", "a Jetson's board"),
    ]  # fmt: skip

    assert choose(found, on_gpus=True).words == "power from nvml, each GPU"
    on_host = choose(found, on_gpus=False)
    assert on_host.source == "hwmon"
    assert "VDD_IN (rapl: unreadable)" in on_host.words


def test_a_source_after_the_chosen_one_is_not_even_asked(tmp_path: Path) -> None:
    orin(tmp_path / "sys")

    asked = candidates(tmp_path, gpus=lambda: "no driver")

    assert choose(asked, on_gpus=True).source == "hwmon"
    assert next(asked).source == "jtop"


def test_without_any_source_every_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "sys/class/powercap/intel-rapl:0").mkdir(parents=True)

    chosen = choose(candidates(tmp_path, gpus=lambda: "no driver"), on_gpus=True)

    assert chosen.source is None
    for reason in ("no driver", "only root", "no INA", "jetson-stats is not installed"):
        assert reason in chosen.words


def test_a_jetson_is_known_by_its_device_tree(tmp_path: Path) -> None:
    folder = tmp_path / "proc/device-tree"
    folder.mkdir(parents=True)

    assert not power_sources.is_jetson(tmp_path)
    (folder / "compatible").write_bytes(b"nvidia,p3768\0nvidia,tegra234\0")
    assert power_sources.is_jetson(tmp_path)
