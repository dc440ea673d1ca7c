"""Models whose weights lie in other files: cut short, behind links, or too large for one file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from backends.onnxruntime.precision import convert
from sut.base.errors import DataError, EngineError
from sut.base.onnx_file import MOST_BYTES, check_onnx, external_files, load_whole
from tests.sut.helpers import own

DATA = "weights.bin"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX model whose weights lie in DATA beside it."""
    own.make_benchmark(tmp_path)
    whole = onnx.load(tmp_path / own.MODEL)
    path = tmp_path / "outside.onnx"
    onnx.save_model(
        whole, path, save_as_external_data=True, location=DATA, size_threshold=0,
        convert_attribute=False,
    )  # fmt: skip
    return path


def test_c11_weights_that_were_cut_short_are_named(model: Path) -> None:
    weights = model.with_name(DATA)
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(DataError, match=r"weights\.bin: has 100 bytes; expected .* cut short"):
        external_files(model)


def test_c11_a_model_of_a_hub_s_cache_is_loaded_through_its_links(
    model: Path, tmp_path: Path
) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    for name in (model.name, DATA):
        (hub / name).symlink_to(model.with_name(name))

    found = load_whole(hub / model.name)

    expected = onnx.load(tmp_path / own.MODEL)
    assert len(found.graph.initializer) == len(expected.graph.initializer) > 0
    for one, other in zip(found.graph.initializer, expected.graph.initializer, strict=True):
        assert not one.external_data
        np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_c11_such_a_model_is_quantized(model: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    for name in (model.name, DATA):
        (hub / name).symlink_to(model.with_name(name))

    convert(hub / model.name, tmp_path / "half.onnx", "fp16")

    half = onnx.load(tmp_path / "half.onnx")
    types = {tensor.data_type for tensor in half.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types
    assert onnx.TensorProto.FLOAT not in types


def test_c11_a_model_above_the_limit_of_one_file_is_refused(model: Path, tmp_path: Path) -> None:
    os.truncate(model.with_name(DATA), MOST_BYTES)  # sparse

    with pytest.raises(EngineError, match=r"has 2\.1 GB with its weights; expected at most 2 GB"):
        convert(model, tmp_path / "half.onnx", "fp16")


def test_c11_one_file_above_the_limit_is_refused_at_once(model: Path) -> None:
    os.truncate(model, MOST_BYTES + 1)  # sparse

    with pytest.raises(DataError, match=r"has 2\.1 GB; .*weights in a file of their own"):
        check_onnx(model)
