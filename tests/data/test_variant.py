"""A benchmark at another resolution, and a made model in another type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from data.benchmark import load_benchmark
from data.dataset_schema import SyntheticData
from data.model import check_side, resolve_model
from data.schema import MadeModel
from data.variant import at_resolution, in_dtype, parse_resolution
from sut.base.errors import ConfigError
from sut.base.onnx_file import declared_shape

if TYPE_CHECKING:
    from pathlib import Path


def test_a_resolution_is_a_side_or_height_and_width() -> None:
    assert parse_resolution("512") == (512, 512)
    assert parse_resolution("720x1280") == (720, 1280)


@pytest.mark.parametrize("text", ["", "x", "0", "12x", "-5", "1e3", "20000", "1x2x3"])
def test_what_is_no_resolution_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected pixels"):
        parse_resolution(text)


def test_a_made_model_at_another_resolution_is_named_and_synthetic() -> None:
    made = at_resolution(load_benchmark("resnet50-synthetic"), "512")
    assert made.name == "resnet50-synthetic-512x512"
    assert made.inputs[0].shape == (3, 512, 512)
    assert isinstance(made.dataset, SyntheticData)
    assert made.dataset.count == 170, "no more than 256 MiB"
    assert "synthetic samples" in made.description
    [source] = made.models
    assert isinstance(source, MadeModel)
    assert source.side == 512
    assert made.loadgen_name == "resnet50-synthetic"


def test_its_own_resolution_changes_nothing() -> None:
    benchmark = load_benchmark("efficientnet-lite0")
    assert at_resolution(benchmark, "224") is benchmark


@pytest.mark.slow
def test_a_network_is_made_for_its_side(tmp_path: Path) -> None:
    small = at_resolution(load_benchmark("resnet50-synthetic"), "32")
    found = resolve_model(small, None, tmp_path)
    assert "32x32 pixels" in found.origin
    assert declared_shape(found.path, "input") == (None, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "resolution", "fragment"),
    [
        ("efficientnet-lite0", "512", "--model"),
        ("tft-electricity", "512", "is no image"),
        ("resnet50-synthetic", "500", "multiple of 32"),
        ("resnet50-synthetic", "512x640", "square images only"),
    ],
)
def test_what_has_no_such_resolution_is_refused(name: str, resolution: str, fragment: str) -> None:
    with pytest.raises(ConfigError, match=fragment):
        at_resolution(load_benchmark(name), resolution)


def test_a_network_without_images_has_no_side() -> None:
    with pytest.raises(ConfigError, match="no resolution"):
        check_side(MadeModel(maker="tft-electricity"), 64)


@pytest.mark.parametrize(("side", "fits"), [("H", True), (224, False)])
def test_the_users_model_must_have_open_height_and_width(
    tmp_path: Path, side: str | int, fits: bool
) -> None:
    path = tmp_path / "model.onnx"
    shape: list[str | int | None] = ["N", 3, side, side]
    value = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, shape)
    node = helper.make_node("Identity", ["input"], ["same"])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [value], [same])), path)
    benchmark = load_benchmark("efficientnet-lite0")
    if fits:
        assert at_resolution(benchmark, "512x640", path).inputs[0].shape == (3, 512, 640)
    else:
        with pytest.raises(ConfigError, match="open height and width"):
            at_resolution(benchmark, "512x640", path)


def test_a_made_model_in_another_type() -> None:
    benchmark = load_benchmark("resnet50-synthetic")
    made = in_dtype(benchmark, "float32")
    assert (made.name, made.inputs[0].dtype) == ("resnet50-synthetic-float32", "float32")
    assert in_dtype(benchmark, "float16") is benchmark
    with pytest.raises(ConfigError, match="is not made"):
        in_dtype(load_benchmark("efficientnet-lite0"), "float16")
