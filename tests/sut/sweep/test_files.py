"""The files of a sweep over several settings: each table has the configuration of its own."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from sut.load.loads import LoadSpec
from sut.record.table import Row, decode
from sut.sweep.files import Files
from sut.sweep.runner import Measured
from sut.sweep.steady import Rule
from sut.sweep.task import Task
from tests.sut.sweep.test_columns import FIGURES
from tests.sut.sweep.test_session import tasks


def found() -> list[tuple[Task, Measured]]:
    """Two settings with a point each, and one whose point failed."""
    made = []
    for precision in ("fp32", "int8", "fp16"):
        task = replace(
            tasks()[0],
            point={"precision": precision, "concurrency": 8},
            setting={"precision": precision},
            load=LoadSpec("closed", concurrency=8),
        )
        failed = precision == "fp16"
        row = Row(
            point=dict(task.point),
            figures={} if failed else FIGURES,
            problem="it died" if failed else None,
        )
        made.append((task, Measured(row, {} if failed else {"precision": precision}, 1.0)))
    return made


def written(folder: Path, columns: str) -> set[str]:
    Files(folder, columns, Rule(), "a title", "sut sweep", {"data": "d"}).write(found())
    return {path.name for path in folder.iterdir()}


def test_every_setting_has_a_table_below_its_configuration(tmp_path: Path) -> None:
    assert written(tmp_path, "own") == {
        "table.json",
        "table.md",
        "table.csv",
        "online_summary.csv",
    }

    parts = (tmp_path / "table.md").read_text("utf-8").split("## precision ")
    assert [part.partition("\n")[0] for part in parts[1:]] == ["fp32", "int8", "fp16"]
    assert "- Precision: int8\n" in parts[2]
    assert "| precision | concurrency | samples/s |" in parts[2]
    assert "Left out: precision fp16, concurrency 8: it died" in parts[3]
    assert "|" not in parts[3].partition("Left out")[0].replace("- ", "")


def test_the_summary_has_every_parameter_as_a_column(tmp_path: Path) -> None:
    written(tmp_path, "own")

    with (tmp_path / "online_summary.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["Precision"] for row in rows] == ["fp32", "int8", ""]
    assert {row["Backend"] for row in rows} == {"null"}
    assert [row["problem"] for row in rows] == ["", "", "it died"]


def test_the_studys_columns_come_in_a_file_for_each_setting(tmp_path: Path) -> None:
    assert written(tmp_path, "triton") == {
        "table.json",
        "table.md",
        "table-fp32.csv",
        "table-int8.csv",
        "online_summary.csv",
    }
    assert "# Precision: int8\n" in (tmp_path / "table-int8.csv").read_text("utf-8")


def test_the_table_has_all_values_of_what_differs(tmp_path: Path) -> None:
    written(tmp_path, "own")

    table = decode((tmp_path / "table.json").read_bytes(), "table.json")

    assert table.configuration["Precision"] == "fp32 / int8"
    assert table.identity == {"data": "d"}
    assert len(table.rows) == 3
    assert table.environment["cores"].isdigit()
