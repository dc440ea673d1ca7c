"""`run` as the tuner calls it: somebody watches the test, ends it early, and nothing is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenarios.base import Load
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.record.result import STOPPED
from sut.record.run_folder import read_result
from sut.record.trace import BATCH_FIELDS
from sut.run.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.record.trace_reader import TraceReader


def plan(min_duration_s: float) -> Plan:
    """Return a Server test of a simulated device."""
    return resolve(
        Arguments(
            benchmark="resnet50",
            scenario="Server",
            backend="simulated",
            devices=("0",),
            backend_options={"base_ms": 1.0, "per_sample_ms": 0.1},
            load=Load(target_qps=400.0, min_duration_s=min_duration_s, min_query_count=1),
        )
    )


def test_a_watch_that_gives_a_reason_ends_the_test(tmp_path: Path) -> None:
    samples = 0

    def watch(reader: TraceReader) -> str | None:
        nonlocal samples
        samples += int(reader.new_batches()[:, BATCH_FIELDS.index("samples")].sum())
        return "seen enough." if samples > 50 else None

    result = run(plan(600.0), tmp_path / "out", "sut tune", watch=watch)

    assert (result.valid, result.interrupted, result.metric) == (False, STOPPED, None)
    assert result.reasons[0].startswith("Stopped after")
    assert result.reasons[0].endswith("seen enough.")
    assert result.samples >= samples > 50
    assert result.duration_s < 60
    assert read_result(tmp_path / "out") == result


def test_a_watch_without_a_reason_lets_the_test_end(tmp_path: Path) -> None:
    looks: list[int] = []

    def watch(reader: TraceReader) -> None:
        looks.append(len(reader.new_batches()))

    result = run(plan(1.0), tmp_path / "out", "sut tune", watch=watch)

    assert (result.interrupted, result.samples >= sum(looks)) == (None, True)
    assert len(looks) > 1
    assert result.metric is not None


def test_a_quiet_run_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(plan(0.5), tmp_path / "out", "sut tune", quiet=True)

    assert capfd.readouterr() == ("", "")
