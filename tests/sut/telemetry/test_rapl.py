"""The energy of CPU packages, from folders as Linux shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.telemetry import rapl

if TYPE_CHECKING:
    from pathlib import Path


def zone(root: Path, name: str, label: str, microjoules: int) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(label + "\n", "ascii")
    (folder / "energy_uj").write_text(f"{microjoules}\n", "ascii")
    (folder / "max_energy_range_uj").write_text("1000000000\n", "ascii")
    return folder


def test_every_package_is_a_meter_and_its_parts_are_not(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:1", "package-1", 5)

    assert [meter.device for meter in rapl.meters(tmp_path)] == ["package-0", "package-1"]


def test_energy_counts_from_the_first_look_in_joules(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 7_000_000)
    (meter,) = rapl.meters(tmp_path)

    (folder / "energy_uj").write_text("9500000\n", "ascii")
    reading = meter.sample()

    assert reading.energy_j == pytest.approx(2.5)
    assert reading.power_w is not None
    assert reading.power_w > 0


def test_a_counter_that_begins_anew_loses_nothing(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 999_000_000)
    (meter,) = rapl.meters(tmp_path)

    (folder / "energy_uj").write_text("2000000\n", "ascii")

    assert meter.sample().energy_j == pytest.approx(3.0)


def test_a_package_that_cannot_be_read_is_no_meter(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0", 5) / "energy_uj").unlink()

    assert rapl.meters(tmp_path) == []


def test_a_machine_without_powercap_has_no_meters(tmp_path: Path) -> None:
    assert rapl.meters(tmp_path / "absent") == []


def test_a_package_that_can_no_longer_be_read_tells_nothing(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    (meter,) = rapl.meters(tmp_path)

    (folder / "energy_uj").unlink()

    assert meter.sample().energy_j is None
