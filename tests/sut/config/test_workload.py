"""A workload: resolved once, and the same in every process that it travels to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import onnx
import pytest

from data.benchmark import load_benchmark
from sut.base.errors import DataError
from sut.base.files import sha256_file
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload, resolve_workload
from sut.config.workload import Samples, Workload
from tests.sut.helpers import own

if TYPE_CHECKING:
    from data.benchmark import Benchmark


def benchmark(folder: Path) -> Benchmark:
    """Return a benchmark with a small model and images of its own."""
    return load_benchmark(str(own.make_benchmark(folder)))


def test_the_model_is_found_and_hashed(tmp_path: Path) -> None:
    workload = resolve_workload(benchmark(tmp_path), "onnxruntime", None)

    assert workload.model is not None
    assert Path(workload.model.path).is_absolute()
    assert len(workload.model.sha256) == 64
    assert workload.samples is None


def test_a_backend_without_a_model_reads_nothing() -> None:
    named = load_benchmark("resnet50")

    workload = prepared_workload(named, "null", None, None)

    assert workload.model is None
    assert workload.samples == Samples((), named.performance_sample_count)


def test_samples_are_prepared_once_the_model_is_known(tmp_path: Path) -> None:
    workload = prepared_workload(benchmark(tmp_path), "onnxruntime", None, None)

    assert workload.samples is not None
    assert workload.samples.count == own.COUNT
    assert [Path(path).suffix for path in workload.samples.paths] == [".npy"]


def test_an_engine_gets_the_cap_and_the_options_of_its_device() -> None:
    plan = resolve(
        Arguments(
            benchmark="resnet50",
            scenario="Offline",
            backend="simulated",
            devices=("0", "1"),
            max_batch_size=32,
            device_max_batch_size={"1": 26},
            backend_options={"base_ms": 1.0},
        )
    )
    workload = resolve_workload(plan.benchmark, "simulated", None)

    specs = [plan.harness.engine(workload, device) for device in plan.harness.devices]

    assert [spec.max_batch_size for spec in specs] == [32, 26]
    assert {spec.options["base_ms"] for spec in specs} == {1.0}
    assert {spec.inputs for spec in specs} == {workload.inputs}


def test_a_workload_travels_as_json(tmp_path: Path) -> None:
    workload = prepared_workload(benchmark(tmp_path), "onnxruntime", None, None)

    assert msgspec.json.decode(msgspec.json.encode(workload), type=Workload) == workload


def with_weights_beside(folder: Path) -> Path:
    """Return a model whose weights lie in a file of their own."""
    proto = onnx.load(folder / own.MODEL)
    path = folder / "split.onnx"
    onnx.save_model(
        proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path


def test_a_model_has_a_hash_of_every_file_of_its_weights(tmp_path: Path) -> None:
    named = benchmark(tmp_path)
    split = with_weights_beside(tmp_path)

    whole = resolve_workload(named, "onnxruntime", None).model
    found = resolve_workload(named, "onnxruntime", split).model

    assert whole is not None
    assert whole.files == {}
    weights = tmp_path / "weights.bin"
    assert found is not None
    assert found.files == {str(weights): sha256_file(weights)}


def test_n1_an_engine_that_is_kept_open_is_not_taken_for_one_of_other_weights(
    tmp_path: Path,
) -> None:
    named = benchmark(tmp_path)
    split = with_weights_beside(tmp_path)
    before = resolve_workload(named, "onnxruntime", split).engine("onnxruntime", 4)
    again = resolve_workload(named, "onnxruntime", split).engine("onnxruntime", 4)

    weights = tmp_path / "weights.bin"
    weights.write_bytes(bytes(len(weights.read_bytes())))
    after = resolve_workload(named, "onnxruntime", split).engine("onnxruntime", 4)

    assert before == again
    assert before != after


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    named = benchmark(tmp_path)
    split = with_weights_beside(tmp_path)
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(DataError, match=r"weights\.bin: no such file"):
        resolve_workload(named, "onnxruntime", split)
