"""The page of `sut fit`: its table, and measured memory beside the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.sweep.fit.files import write
from sut.sweep.fit.memory_model import MemoryPoint, MemorySizes
from sut.sweep.fit.result import FitResult, FitRow, ModelPart, read_fit
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

MB = 1_000_000
RESULT = FitResult(
    title="What fits: own on default, device cpu",
    command="sut fit -b own",
    started="2026-11-29T00:00:00+0000",
    limit="900.0 MB, memory cgroup",
    configuration={"Backend": "onnxruntime"},
    identity={"model": "aa"},
    environment={"cpu": "x"},
    samples="synthetic",
    rows=(
        FitRow(
            point={"precision": "fp16", "instances": 1}, largest_batch=80, fails_at=81,
            bound="out of memory: full", needed_bytes=890 * MB, limit_bytes=900 * MB,
            activation_bytes_per_sample=8.0 * MB, io_bytes_per_sample=MB, tries=7,
            marks=("batch 96: hung: no answer after 60 s",),
        ),
        FitRow(point={"precision": "int8", "instances": 1}, problem="device cpu: no such model"),
    ),
    models=(
        ModelPart(
            point={"precision": "fp16"},
            sizes=MemorySizes(weights=20 * MB, io=MB),
            points=tuple(MemoryPoint(1, b, (90 + 10 * b) * MB) for b in (8, 16, 32)),
        ),
    ),
)  # fmt: skip


def test_the_page_has_the_answers_and_the_model(tmp_path: Path) -> None:
    write(tmp_path, RESULT)
    done = run_here("report", tmp_path, "--json")
    assert done.code == 0, done.err
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "1 of 2 places have an answer" in text
    assert "batch 96: hung" in text
    assert "10 MB a sample; error 2.0%" in text
    assert text.count("<svg") == 1
    assert '"kind": "fit"' in done.out


def test_the_files_are_read_back_and_say_the_same(tmp_path: Path) -> None:
    write(tmp_path, RESULT)
    text = (tmp_path / "fit.json").read_bytes()
    assert read_fit(text, "fit.json") == RESULT
    table = (tmp_path / "fit.md").read_text("utf-8")
    assert "| fp16 | 1 | 80 |" in table
    assert "no such model" in table
    assert "Limit: 900.0 MB, memory cgroup" in (tmp_path / "fit.csv").read_text("utf-8")


def test_another_file_of_that_name_is_one_clear_line(tmp_path: Path) -> None:
    for text in ("{}", "[", '{"schema": 1}'):
        (tmp_path / "fit.json").write_text(text, "utf-8")
        done = run_here("report", tmp_path)
        assert done.code == 2
        assert "fit.json" in done.err
