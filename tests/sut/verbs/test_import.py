"""`sut import` from outside: what it writes, what it says, and what it leaves after bad input."""

from __future__ import annotations

import json
from pathlib import Path

from sut.record.table import decode
from tests.sut.helpers.program import run_here
from tests.sut.record.importers import examples


def test_a_table_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "perf.csv").write_text(examples.PERF_ANALYZER)

    done = run_here("import", tmp_path / "perf.csv", "--out", tmp_path / "old", "--json")

    written = tmp_path / "old" / "table.json"
    assert done.code == 0
    assert json.loads(done.out) == [json.loads(written.read_text())]
    assert len(decode(written.read_bytes(), "here").rows) == 3


def test_several_tables_get_a_folder_each(tmp_path: Path) -> None:
    (tmp_path / "perf.csv").write_text(examples.PERF_ANALYZER)
    (tmp_path / "metrics.csv").write_text(examples.INFERENCE)

    done = run_here(
        "import", tmp_path / "perf.csv", tmp_path / "metrics.csv", "--out", tmp_path / "old"
    )

    assert done.code == 0
    assert "not imported: RAM Usage (MB)" in done.out
    names = sorted(path.name for path in (tmp_path / "old").iterdir())
    assert names == ["01-perf_analyzer", "02-add", "03-sub"]


def test_one_damaged_file_of_several_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "perf.csv").write_text(examples.PERF_ANALYZER)
    (tmp_path / "bad.csv").write_text(examples.PERF_ANALYZER.replace("9900", "?"))

    done = run_here(
        "import", tmp_path / "perf.csv", tmp_path / "bad.csv", "--out", tmp_path / "old"
    )

    assert done.code == 2
    assert "bad.csv:2: column \"p99 latency\" is '?'" in done.err
    assert not (tmp_path / "old").exists()


def test_a_table_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "perf.csv").write_text(examples.PERF_ANALYZER)
    words = ("import", tmp_path / "perf.csv", "--out", tmp_path / "old")
    assert run_here(*words).code == 0

    done = run_here(*words)

    assert done.code == 2
    assert "is there already" in done.err
