"""The stand-in of YOLO11: its size, its answers, and that boxes can be made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, shape_inference

from data.benchmark import load_benchmark
from data.convert import yolo11
from data.tasks import records_of
from data.tasks.base import FrameFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMALL = 64


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model of the benchmark."""
    path = tmp_path_factory.mktemp("yolo11") / "l.onnx"
    yolo11.make(path, 0, "float16")
    return path


def made(folder: Path, size: str, side: int, dtype: str = "float32", seed: int = 0) -> Path:
    path = folder / f"{size}-{side}-{dtype}-{seed}.onnx"
    yolo11.write(path, seed, dtype, size, side)
    return path


def answer(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: NDArray[Any] = session.run(None, {"images": images})[0]
    return found


def images(count: int, side: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).random((count, 3, side, side), np.float32)


def parameters(model: onnx.ModelProto) -> int:
    """Return how many numbers the convolutions hold."""
    filters = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input}
    return sum(
        int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.name in filters
    )


def operations(model: onnx.ModelProto) -> float:
    """Return the multiplications and additions of convolutions and matrix products, per image."""
    graph = shape_inference.infer_shapes(model).graph
    known = {
        value.name: [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    weights = {t.name: numpy_helper.to_array(t).shape for t in graph.initializer}
    total = 0.0
    for node in graph.node:
        if node.op_type == "Conv":
            total += np.prod(known[node.output[0]]) * np.prod(weights[node.input[1]][1:])
        elif node.op_type == "MatMul":
            total += np.prod(known[node.output[0]]) * known[node.input[0]][-1]
    return float(2 * total)


# As Ultralytics publishes them, in millions and in 10^9 at 640x640.
def test_the_small_size_has_the_published_parameters_and_operations(tmp_path: Path) -> None:
    model = onnx.load(made(tmp_path, "n", 640))

    assert parameters(model) / 1e6 == pytest.approx(2.6, abs=0.05)
    assert operations(model) / 1e9 == pytest.approx(6.5, rel=0.01)


@pytest.mark.slow
def test_the_benchmark_s_model_has_the_published_parameters_and_operations(large: Path) -> None:
    model = onnx.load(large)

    assert parameters(model) / 1e6 == pytest.approx(25.3, abs=0.05)
    assert operations(model) / 1e9 == pytest.approx(86.9, rel=0.01)


def test_the_benchmark_feeds_and_reads_what_the_maker_makes(large: Path) -> None:
    (tensor,) = load_benchmark("yolo11l-synthetic").inputs
    graph = onnx.load(large).graph
    (fed, answered) = (
        [size.dim_value for size in value.type.tensor_type.shape.dim][1:]
        for value in (graph.input[0], graph.output[0])
    )

    assert (graph.input[0].name, tuple(fed)) == (tensor.name, tensor.shape)
    assert (graph.output[0].name, answered) == ("output0", [84, 8400])


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = made(tmp_path, "n", SMALL), made(tmp_path / "again", "n", SMALL)

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != made(tmp_path, "n", SMALL, seed=1).read_bytes()


def test_boxes_lie_about_their_cells_and_differ_from_image_to_image(tmp_path: Path) -> None:
    found = answer(made(tmp_path, "n", SMALL), images(2, SMALL)).astype(np.float64)

    assert found.shape == (2, 84, 64 + 16 + 4)
    x, y, width, height = found.transpose(1, 0, 2)[:4]
    # A cell's middle is between the sides: 16 distances reach 15 strides at most.
    middle = np.concatenate([np.tile(np.arange(n) + 0.5, n) * 64 / n for n in (8, 4, 2)])
    assert np.all(np.abs(x - middle) <= width / 2 + 1e-3)
    assert np.all((width > 0) & (height > 0) & (width <= 30 * 32))
    assert np.all((found[:, 4:] > 0) & (found[:, 4:] < 1))
    assert not np.array_equal(found[0], found[1])
    assert np.ptp(y[0]) > SMALL / 2


def test_half_precision_overflows_nowhere_and_answers_nearly_the_same(tmp_path: Path) -> None:
    given = images(1, SMALL)
    whole = answer(made(tmp_path, "n", SMALL), given)
    half = answer(made(tmp_path, "n", SMALL, "float16"), given.astype(np.float16))

    assert half.dtype == np.float16
    apart = np.abs(half[:, :4].astype(np.float32) - whole[:, :4])
    assert apart.mean() < 2
    assert apart.max() < 20  # a distribution over distances may lie between two of them


@pytest.mark.slow
def test_a_realistic_number_of_candidates_passes_the_confidence(large: Path) -> None:
    benchmark = load_benchmark("yolo11l-synthetic")

    found = answer(large, images(1, 640).astype(np.float16))

    assert 500 < (found[0, 4:].max(axis=0) > 0.001).sum() < 2500
    (boxes,) = records_of(benchmark.postprocess, FrameFile(640, 640))((found,), [0])
    assert boxes.shape == (300, 7)
