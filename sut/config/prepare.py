"""Finds the model of a benchmark and prepares its samples: makes a Workload.

Reads and writes files; opens no engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.base import REMOTE, WITHOUT_MODEL, TensorSpec
from data.model import resolve_model
from data.preprocess import prepare
from sut.base.progress import show_progress
from sut.config.workload import Workload, model_of

if TYPE_CHECKING:
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.preprocess import SampleSet


def resolve_workload(benchmark: Benchmark, backend: str, model: Path | None) -> Workload:
    """Find the model of a benchmark; the samples are not prepared yet.

    Args:
        benchmark: its definition.
        backend: a key of backends.base.BACKENDS; some have no model.
        model: the user's own file instead of the benchmark's, or None.

    Raises:
        SutError: the model is missing or is not the expected one.
    """
    elsewhere = backend in WITHOUT_MODEL or backend in REMOTE
    found = None if elsewhere else resolve_model(benchmark, model)
    return Workload(
        benchmark=benchmark.name,
        loadgen_model=benchmark.loadgen_name,
        model=None if found is None else model_of(found),
        inputs=tuple(TensorSpec(t.name, t.shape, t.dtype) for t in benchmark.inputs),
        output_name=benchmark.output,
        postprocess=benchmark.postprocess,
        performance_sample_count=benchmark.performance_sample_count,
    )


def prepared_workload(
    benchmark: Benchmark, backend: str, model: Path | None, data: Path | None
) -> Workload:
    """Find the model of a benchmark and prepare its samples, with a line of progress.

    Args:
        benchmark: its definition.
        backend: a key of backends.base.BACKENDS; some read no samples.
        model: the user's own file instead of the benchmark's, or None.
        data: a folder of data instead of the benchmark's, or None.

    Raises:
        SutError: model or samples are not there, or not what they should be.
    """
    workload = resolve_workload(benchmark, backend, model)
    reads = backend not in WITHOUT_MODEL
    return workload.with_samples(prepared_samples(benchmark, data) if reads else None)


def prepared_samples(benchmark: Benchmark, data: Path | None) -> SampleSet:
    """Prepare a benchmark's samples or take them from the cache, with a line of progress.

    Raises:
        SutError: they are not there, or not what they should be.
    """
    with show_progress(f"preparing samples of {benchmark.name}") as progress:
        return prepare(benchmark, data, progress=progress)
