"""A converted model is made again when anything that it was made of has changed."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from backends.base import EngineSpec, TensorSpec
from backends.tensorrt.builder import BuildRequest, plan_path
from backends.tensorrt.profiles import one_profile
from data.benchmark import load_benchmark
from data.calibration import LISTS, of_list
from sut.config.prepare import resolve_workload
from sut.models.precision import Source, converted
from tests.backends.fake_tensorrt import library
from tests.sut.helpers import own

WEIGHTS = "weights.bin"


def source(folder: Path) -> Source:
    """Return the model of `folder`, which keeps its weights in a file of their own."""
    benchmark = load_benchmark(str(folder / "own.yaml"))
    workload = resolve_workload(benchmark, "onnxruntime", folder / "split.onnx")
    return Source(benchmark, workload, None, "samples")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own.make_benchmark(tmp_path)
    onnx.save_model(
        onnx.load(tmp_path / own.MODEL),
        tmp_path / "split.onnx",
        save_as_external_data=True,
        location=WEIGHTS,
        size_threshold=0,
    )
    return tmp_path


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_n1_a_converted_model_is_made_again_for_other_weights(folder: Path) -> None:
    first = converted(source(folder), "fp16", folder / "cache")
    assert converted(source(folder), "fp16", folder / "cache").cached

    change(folder / WEIGHTS)
    again = converted(source(folder), "fp16", folder / "cache")

    assert not again.cached
    assert again.path != first.path
    assert again.note.key != first.note.key


def test_n1_a_plan_has_another_key_for_other_weights(folder: Path) -> None:
    tensor = TensorSpec("x", (3, 8, 8), "float32")
    spec = EngineSpec("tensorrt", str(folder / "split.onnx"), (tensor,), None, 4)
    request = BuildRequest(spec, sm=89, profiles=one_profile(4), folder=folder)
    before = plan_path(request, library())

    change(folder / WEIGHTS)

    assert before != plan_path(request, library())


def test_n1_calibration_images_are_known_by_their_content(folder: Path) -> None:
    images = folder / own.IMAGES
    names = sorted(path.name for path in images.glob("*.png"))
    (images / LISTS["mlperf-1"]).write_text("\n".join(names), "ascii")
    benchmark = load_benchmark(str(folder / "own.yaml"))
    before = of_list(benchmark, None, "mlperf-1").digest
    assert before == of_list(benchmark, None, "mlperf-1").digest

    change(images / names[3])

    assert before != of_list(benchmark, None, "mlperf-1").digest
