"""Runs whose largest batch nobody gave: warm-up chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenarios.base import Load
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.run.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from backends.base import OptionValue
    from sut.record.result import Result

pytestmark = pytest.mark.slow

DEVICE: dict[str, OptionValue] = {"base_ms": 1.0, "per_sample_ms": 0.1}


def found(scenario: str, load: Load, out: Path, **options: OptionValue) -> Result:
    """Run resnet50, which Server bounds at 15 ms, on a simulated device."""
    plan = resolve(
        Arguments(
            benchmark="resnet50",
            scenario=scenario,
            backend="simulated",
            devices=("0",),
            backend_options={**DEVICE, **options},
            max_batch_size="auto",
            slots=2,
            load=load,
        )
    )
    return run(plan, out, "sut run", quiet=True)


def test_server_takes_the_largest_batch_of_which_two_fit_into_the_bound(tmp_path: Path) -> None:
    result = found("Server", Load(min_duration_s=0.5, min_query_count=1), tmp_path / "out")

    assert result.harness.warm_up is not None
    assert result.harness.warm_up.max_batch_size == 32  # two of 64 take 14.8 of 15 ms
    assert max(result.batches.histogram) <= 32


def test_offline_takes_the_smallest_batch_near_the_highest_rate(tmp_path: Path) -> None:
    load = Load(min_duration_s=0.1, min_query_count=2_000)

    result = found("Offline", load, tmp_path / "out", graph_sizes="1,128,200")

    assert result.harness.warm_up is not None
    assert result.harness.warm_up.max_batch_size == 256
    assert result.batches.histogram[256] >= 7
