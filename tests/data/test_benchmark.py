from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from data.benchmark import FOLDER, Benchmark, benchmark_names, load_benchmark
from data.dataset_schema import CocoData
from data.steps import Normalize
from data.tasks.detection.finished import Detections
from sut.base.errors import ConfigError


@pytest.mark.parametrize("name", benchmark_names())
def test_every_shipped_benchmark_loads_under_the_name_of_its_file(name: str) -> None:
    benchmark = load_benchmark(name)

    assert benchmark.name == name
    assert benchmark.file == FOLDER / f"{name}.yaml"


def test_the_benchmarks_of_v05_have_their_bounds() -> None:
    bounds_ms = {
        name: bound
        for name in benchmark_names()
        if (bound := load_benchmark(name).rules("Server", "v0.5").target_latency_ms)
    }

    # inference_rules.adoc of 2019-10-10, section 4
    assert bounds_ms == {
        "mobilenet": 10,
        "resnet50": 15,
        "ssd-mobilenet": 10,
        "ssd-resnet34": 100,
        "gnmt": 250,
    }


def test_resnet50_is_the_official_one() -> None:
    benchmark = load_benchmark("resnet50")

    assert benchmark.loadgen_name == "resnet50"
    assert benchmark.rules("Server").target_latency_ms == 15
    assert benchmark.accuracy.target == pytest.approx(0.7646 * 0.99)
    assert benchmark.performance_sample_count == 1024
    assert benchmark.preprocess[-1] == Normalize(mean=(123.68, 116.78, 103.94), std=1.0)


@pytest.mark.parametrize("name", ["ssd-mobilenet", "ssd-resnet34"])
def test_a_detector_of_v05_reads_coco_and_the_boxes_of_its_model(name: str) -> None:
    benchmark = load_benchmark(name)

    assert isinstance(benchmark.dataset, CocoData)
    assert isinstance(benchmark.postprocess, Detections)


def test_efficientnet_says_that_it_is_no_mlperf_benchmark() -> None:
    benchmark = load_benchmark("efficientnet-lite0")

    assert benchmark.mlperf_names == ()
    assert "not an MLPerf benchmark" in benchmark.description
    assert benchmark.rules("Server").target_latency_ms == 100


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'"resnet5".*"resnet50"'):
        load_benchmark("resnet5")


@pytest.mark.parametrize("name", ["../benchmarks/resnet50", "", "nowhere/at/all"])
def test_a_path_is_not_taken_for_a_name(name: str) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_benchmark(name)


def test_a_path_to_no_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: no such file"):
        load_benchmark("mine.yaml")


def test_a_users_own_yaml_needs_no_python(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\n"
        "models: [{kind: file, path: model.onnx}]\n"
        "input: {name: x, shape: [3, 32, 32], layout: NCHW}\n"
        "preprocess: [{step: resize, height: 32, width: 32}]\n"
        "dataset: {kind: folder, folder: images, labels: labels.csv, classes: 10}\n"
        "harness: {Offline: {max_batch_size: 4, backend_options: {intra_op_threads: 1}}}\n",
        "utf-8",
    )

    benchmark = load_benchmark(str(path))

    assert benchmark.loadgen_name == "mine"
    assert benchmark.harness_defaults("Offline").max_batch_size == 4
    assert benchmark.harness_defaults("Offline").backend_options == {"intra_op_threads": 1}
    assert benchmark.harness_defaults("Server").max_batch_size is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tiny", "name: a/b", "name: got"),
        ("name: tiny", "name: tiny\nnme: b", 'nme: .*"name"'),
        ("kind: folder", "kind: folders", "dataset.kind: got"),
        ("name: tiny", "name: tiny\nrounds: {current: {Servr: {}}}", 'Did you mean "Server"'),
        ("name: tiny", "name: tiny\naccuracy: {target: 75.6}", "accuracy.target: got 75.6"),
    ],
)
def test_a_mistake_names_the_file(
    make_benchmark: object, tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert callable(make_benchmark)
    make_benchmark()
    path = tmp_path / "tiny.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")

    with pytest.raises(ConfigError, match=rf"tiny\.yaml:\d+: .*{message}"):
        load_benchmark(str(path))


@pytest.mark.parametrize(
    "steps",
    [
        [{"step": "normalize", "mean": [1, 2]}],
        [{"step": "normalize"}, {"step": "normalize"}],
        [{"step": "normalize"}, {"step": "color", "order": "L"}],
        [{"step": "color", "order": "L"}, {"step": "normalize", "mean": [1, 2, 3]}],
    ],
)
def test_a_normalization_that_cannot_work_is_refused(make_benchmark: object, steps: object) -> None:
    assert callable(make_benchmark)
    with pytest.raises(ConfigError, match="normalize"):
        make_benchmark(preprocess=steps)


def test_a_benchmark_travels_to_another_process() -> None:
    benchmark = load_benchmark("resnet50")

    copy: Benchmark = pickle.loads(pickle.dumps(benchmark))

    assert copy == benchmark


@pytest.mark.slow
def test_loading_a_benchmark_imports_nothing_heavy() -> None:
    code = (
        "import sys, data.benchmark, data.model, data.preprocess, data.tasks, data.accuracy\n"
        "data.benchmark.load_benchmark('resnet50')\n"
        "print({'onnx', 'onnxruntime', 'PIL', 'torch', 'rich'} & sys.modules.keys())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
