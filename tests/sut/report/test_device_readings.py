"""What devices reported: columns of telemetry.csv, and their distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import DataError
from sut.report.device_readings import distributions, readings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_column_is_read_by_device_without_what_was_not_reported(tmp_path: Path) -> None:
    text = "time_s,device,tensor_percent\n-1,0,5\n0.1,0,\n0.1,1,60\n0.2,0,50\n"
    (tmp_path / "telemetry.csv").write_text(text, "ascii")

    assert readings(tmp_path, "tensor_percent") == {"0": [(-1, 5), (0.2, 50)], "1": [(0.1, 60)]}
    assert readings(tmp_path, "dram_percent") == {}
    assert readings(tmp_path / "absent", "tensor_percent") == {}


def test_a_reading_that_is_no_number_is_refused_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "telemetry.csv").write_text("time_s,device,power_w\n0,0,nan\n", "ascii")

    with pytest.raises(DataError, match=r"telemetry\.csv: .* no finite number"):
        readings(tmp_path, "power_w")


def test_a_distribution_has_a_line_for_each_name_with_enough_readings() -> None:
    picture, _ = distributions("SM", {"fp16": [10.0, 20, 30, 40, 50], "fp32": [1.0]})

    assert "5 points, 0.2 at 10 to 1 at 50" in picture
    assert "fp32" not in picture


def test_without_readings_a_chart_says_so_and_draws_no_zero() -> None:
    assert "nothing measured" in distributions("SM", {"fp16": []})[0]
