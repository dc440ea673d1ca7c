"""The configuration above a table."""

from __future__ import annotations

import pytest

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.load.loads import LoadSpec
from sut.sweep import block
from sut.sweep.steady import Rule
from sut.sweep.task import Task


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"cuda_graphs": "True", "batch_sizes": "8,32"}, "Enabled, batches 8,32"),
        ({"cuda_graphs": "False", "batch_sizes": "8,32"}, "Disabled"),  # compiled for these sizes
        ({}, "Disabled"),
    ],
)
def test_it_says_whether_an_engine_on_a_gpu_ran_cuda_graphs(
    facts: dict[str, str], said: str
) -> None:
    asked = Arguments(
        benchmark="resnet50-synthetic", scenario="Offline", backend="torch", devices=("0",)
    )
    plan = resolve(asked)
    workload = resolve_workload(plan.benchmark, "null", None)

    found = block.of(Task({}, {}, plan, workload, LoadSpec("offline")), facts, Rule())

    assert found["NVIDIA TensorRT Capture CUDA Graph"] == said
