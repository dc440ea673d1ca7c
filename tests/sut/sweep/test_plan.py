"""What a sweep measures: the samples and the model of each point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.load.loads import LoadSpec
from sut.sweep.plan import Planner, Sweep
from tests.sut.helpers import own

OPTIONS = {"url": "nowhere:1", "model": "own"}


def planner(benchmark: Path, precision: str) -> Planner:
    arguments = Arguments(
        benchmark=str(benchmark),
        scenario="Server",
        backend="triton",
        max_batch_size=2,
        backend_options=OPTIONS,
    )
    settings = {"precision": [precision]}
    return Planner(Sweep(arguments, settings, LoadSpec("closed"), {"concurrency": [1]}))


def test_a_remote_model_gets_the_benchmarks_own_samples(tmp_path: Path) -> None:
    planned = planner(own.make_benchmark(tmp_path), "fp32")

    (task,) = planned.tasks()

    assert task.workload.model is None
    assert task.workload.samples is not None
    (path,) = task.workload.samples.paths
    np.testing.assert_array_equal(np.load(path), own.samples(tmp_path))
    assert set(planned.identity) == {"data"}


def test_a_remote_model_is_made_in_no_other_precision(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="backend triton has its server's model"):
        planner(own.make_benchmark(tmp_path), "fp16").tasks()


def test_a_resolution_is_an_axis_with_a_benchmark_of_its_own() -> None:
    arguments = Arguments(benchmark="resnet50-synthetic", scenario="Offline", backend="simulated")
    settings = {"resolution": ["224", "512"]}
    planned = Planner(Sweep(arguments, settings, LoadSpec("offline"), {"batch": [1]}))
    plans = planned.plans()
    assert [plan.benchmark.name for _, plan in plans] == [
        "resnet50-synthetic", "resnet50-synthetic-512x512",
    ]  # fmt: skip
    assert plans[1][1].benchmark.inputs[0].shape == (3, 512, 512)
