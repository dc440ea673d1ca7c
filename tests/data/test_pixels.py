"""Samples that stay 8-bit pixels: what becomes of the benchmark, its samples and its model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from data.benchmark import load_benchmark
from data.model import resolve_model
from data.pixels import normalizing
from data.preprocess import prepare
from data.steps import Normalization, Normalize
from data.variant import in_dtype, in_pixels, load_variant
from sut.base.errors import ConfigError, DataError
from tests.backends.models import floats, model
from tests.data.conftest import MakeBenchmark, MakeImages

LETTERBOX = {"step": "letterbox", "height": 8, "width": 8, "fill": 114}
NORMALIZE = {"step": "normalize", "mean": [123.68, 116.78, 103.94], "std": [58.4, 57.1, 57.4]}
STEPS = [LETTERBOX, NORMALIZE]


def write_model(path: Path) -> Path:
    axes = ("N", "C", "H", "W")
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    onnx.save(model(nodes, [floats("x", *axes)], [floats("y", *axes)]), path)
    return path


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", [3, 8, 8]), ("NHWC", [8, 8, 3])])
def test_pixels_give_the_model_the_same_floats(
    make_benchmark: MakeBenchmark,
    make_images: MakeImages,
    tmp_path: Path,
    layout: str,
    shape: list[int],
) -> None:
    make_images("a.png", "b.png")
    tensor = {"name": "x", "shape": shape, "dtype": "float32", "layout": layout}
    made = make_benchmark(preprocess=STEPS, input=tensor)
    pixels, file = in_pixels(made), write_model(tmp_path / "own.onnx")

    as_floats, as_pixels = (
        prepare(one, None, cache_dir=tmp_path, jobs=1) for one in (made, pixels)
    )
    of_pixels = resolve_model(pixels, file, tmp_path)
    fed = as_pixels.open()["x"]
    (found,) = onnxruntime.InferenceSession(str(of_pixels.path)).run(None, {"x": fed})

    assert fed.dtype == np.uint8
    assert fed.nbytes * 4 == as_floats.open()["x"].nbytes
    np.testing.assert_array_equal(found, as_floats.open()["x"])
    np.testing.assert_array_equal(normalizing(pixels.inputs[0]).of(fed), found)
    assert as_pixels.digest != as_floats.digest
    assert as_pixels.paths != as_floats.paths
    assert as_pixels.description.endswith(", as uint8 pixels")
    assert "normalise uint8 pixels" in of_pixels.origin


def test_the_step_moves_into_the_model_and_all_else_stays() -> None:
    made, pixels = load_benchmark("resnet50"), load_variant("resnet50", pixels=True)

    [tensor] = pixels.inputs
    assert (tensor.dtype, tensor.normalize) == (
        "uint8",
        Normalization(mean=(123.68, 116.78, 103.94), std=1.0),
    )
    assert pixels.preprocess == made.preprocess[:-1]
    assert isinstance(made.preprocess[-1], Normalize)
    kept = [name for name in made.__struct_fields__ if name not in ("input", "preprocess")]
    assert all(getattr(made, name) == getattr(pixels, name) for name in kept)
    assert in_pixels(pixels) is pixels


def test_floats_that_are_pixels_already_are_not_changed(make_benchmark: MakeBenchmark) -> None:
    assert in_pixels(make_benchmark()).inputs[0].normalize == Normalization()


def test_synthetic_images_become_pixels_by_255_whatever_the_model_computes_in() -> None:
    made = load_variant("yolo11l-synthetic", resolution="320", pixels=True)

    [tensor] = in_dtype(made, "float16").inputs

    assert (tensor.dtype, tensor.normalize) == ("uint8", Normalization(std=255.0))


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"dataset": {"kind": "synthetic", "count": 2}, "input": {"name": "x", "shape": [4]}},
         "no layout"),
        ({"input": {"name": "x", "shape": [3, 8, 8], "dtype": "uint8", "layout": "NCHW"}},
         "uint8 already"),
        ({"dataset": {"kind": "arrays"}, "preprocess": []}, "are arrays"),
        ({"dataset": {"kind": "synthetic", "count": 2},
          "input": [{"name": "x", "shape": [3, 8, 8], "layout": "NCHW"},
                    {"name": "z", "shape": [1]}]}, "2 inputs"),
    ],
)  # fmt: skip
def test_what_is_not_made_of_pixels_is_refused(
    make_benchmark: MakeBenchmark, changes: dict[str, object], fragment: str
) -> None:
    with pytest.raises(ConfigError, match=rf"--pixels: tiny: .*{fragment}.*Leave --pixels out"):
        in_pixels(make_benchmark(**changes))


@pytest.mark.parametrize(
    ("tensor", "steps", "fragment"),
    [
        ({"dtype": "float32", "layout": "NCHW"}, [LETTERBOX], "is of pixels"),
        ({"dtype": "uint8"}, [LETTERBOX], "layout none"),
        ({"dtype": "uint8", "layout": "NHWC"}, [LETTERBOX], "each of 8 channels"),
        ({"dtype": "uint8", "layout": "NCHW"}, STEPS, "expected one of them"),
    ],
)
def test_a_file_that_normalises_what_are_no_pixels_or_twice_is_refused(
    make_benchmark: MakeBenchmark, tensor: dict[str, object], steps: object, fragment: str
) -> None:
    given = {"name": "x", "shape": [3, 8, 8], "normalize": {"mean": [1, 2, 3]}, **tensor}
    with pytest.raises(ConfigError, match=fragment):
        make_benchmark(input=given, preprocess=steps)


def test_a_benchmark_file_can_say_so_itself(make_benchmark: MakeBenchmark) -> None:
    tensor = {"name": "x", "shape": [3, 8, 8], "dtype": "float32", "layout": "NCHW"}
    asked = in_pixels(make_benchmark(input=tensor, preprocess=STEPS))
    normalize = {key: value for key, value in NORMALIZE.items() if key != "step"}

    own = make_benchmark(
        input={**tensor, "dtype": "uint8", "normalize": normalize}, preprocess=[LETTERBOX]
    )

    assert msgspec.to_builtins(own.input) == msgspec.to_builtins(asked.input)
    assert own.preprocess == asked.preprocess


def test_a_model_of_pixels_in_another_precision_is_not_changed_twice(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    pixels = in_pixels(make_benchmark(preprocess=STEPS))
    once = resolve_model(pixels, write_model(tmp_path / "own.onnx"), tmp_path)

    twice = resolve_model(pixels, once.path, tmp_path)

    assert twice.sha256 == once.sha256


def test_what_no_nodes_can_be_put_before_is_a_plan_or_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    plan, script = tmp_path / "own.plan", tmp_path / "own.pt"
    for file in (plan, script):
        file.write_bytes(b"engine")
    pixels = in_pixels(make_benchmark())

    assert resolve_model(pixels, plan, tmp_path).path == plan
    with pytest.raises(ConfigError, match=r"own\.pt: a \.pt file cannot be changed"):
        resolve_model(pixels, script, tmp_path)


def test_a_model_without_the_input_is_named(make_benchmark: MakeBenchmark, tmp_path: Path) -> None:
    tensor = {"name": "pixels", "shape": [3, 8, 8], "layout": "NCHW"}
    file = write_model(tmp_path / "own.onnx")
    with pytest.raises(DataError, match=r'own\.onnx: has no input "pixels"; expected one of x'):
        resolve_model(in_pixels(make_benchmark(input=tensor)), file, tmp_path)
