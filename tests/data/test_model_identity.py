"""The identity of a model with several files: no other weights pass for the same model."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from data.model import resolve_model
from sut.base.errors import DataError
from sut.base.onnx_file import external_files, model_sha256
from tests.backends.models import floats, linear, model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnx import ModelProto, NodeProto

    from tests.data.conftest import MakeBenchmark

WEIGHTS = "weights.bin"
VALUES = np.arange(4, dtype=np.float32)


def split(folder: Path) -> Path:
    """Save the linear model with its weights in a file of their own."""
    path = folder / "model.onnx"
    onnx.save_model(linear(), path, save_as_external_data=True, location=WEIGHTS, size_threshold=0)
    return path


def change(weights: Path) -> None:
    """Change one bit; size and time stay."""
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def by_cat(*paths: Path) -> str:
    """Return what `cat PATHS | sha256sum` prints."""
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def outside(name: str = "w") -> TensorProto:
    """Return a tensor of VALUES whose numbers lie in WEIGHTS."""
    tensor = TensorProto(
        name=name,
        data_type=TensorProto.FLOAT,
        dims=VALUES.shape,
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in {"location": WEIGHTS, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def constant() -> NodeProto:
    return helper.make_node("Constant", [], ["w"], value=outside())


def in_initializer() -> ModelProto:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], [floats("x", 4)], [floats("y", 4)])
    proto.graph.initializer.append(outside())
    return proto


def in_constant() -> ModelProto:
    nodes = [constant(), helper.make_node("Add", ["x", "w"], ["y"])]
    return model(nodes, [floats("x", 4)], [floats("y", 4)])


def in_branch() -> ModelProto:
    branch = helper.make_graph([constant()], "branch", [], [floats("w", 4)])
    nodes = [
        helper.make_node("If", ["yes"], ["w2"], then_branch=branch, else_branch=branch),
        helper.make_node("Add", ["x", "w2"], ["y"]),
    ]
    return model(nodes, [floats("x", 4)], [floats("y", 4)], {"yes": np.array(True)})


def in_function() -> ModelProto:
    proto = model(
        [helper.make_node("Shift", ["x"], ["y"], domain="own")], [floats("x", 4)], [floats("y", 4)]
    )
    proto.opset_import.append(helper.make_opsetid("own", 1))
    nodes = [constant(), helper.make_node("Add", ["a", "w"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Shift", ["a"], ["b"], nodes, opsets))
    return proto


def in_sparse_initializer() -> ModelProto:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], [floats("x", 4)], [floats("y", 4)])
    places = numpy_helper.from_array(np.arange(4, dtype=np.int64))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(outside(), places, [8]))
    return proto


@pytest.mark.parametrize(
    "make", [in_initializer, in_constant, in_branch, in_function, in_sparse_initializer]
)
def test_n1_weights_are_found_wherever_a_model_may_hold_them(
    tmp_path: Path, make: Callable[[], ModelProto]
) -> None:
    path, weights = tmp_path / "model.onnx", tmp_path / WEIGHTS
    onnx.save(make(), path)
    weights.write_bytes(VALUES.tobytes())
    before = model_sha256(path)

    change(weights)

    assert external_files(path) == (weights,)
    assert before != model_sha256(path) == by_cat(path, weights)


def test_n1_the_model_of_the_command_line_has_another_hash_with_other_weights(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    path = split(tmp_path)
    before = resolve_model(make_benchmark(), path).sha256

    change(tmp_path / WEIGHTS)

    assert before != resolve_model(make_benchmark(), path).sha256


def test_n1_a_pinned_model_with_other_weights_is_refused(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    pinned = by_cat(split(tmp_path), tmp_path / WEIGHTS)
    benchmark = make_benchmark(models=[{"kind": "file", "path": "model.onnx", "sha256": pinned}])
    assert resolve_model(benchmark, None).sha256 == pinned

    change(tmp_path / WEIGHTS)

    with pytest.raises(DataError, match=f"expected {pinned}"):
        resolve_model(benchmark, None)


def test_n1_a_hash_of_the_model_s_own_file_alone_is_told_apart(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    path = split(tmp_path)
    alone, whole = by_cat(path), by_cat(path, tmp_path / WEIGHTS)
    benchmark = make_benchmark(models=[{"kind": "file", "path": "model.onnx", "sha256": alone}])

    with pytest.raises(DataError, match=f"of this file alone; expected {whole}"):
        resolve_model(benchmark, None)


def test_n1_a_model_of_one_file_keeps_the_hash_of_that_file(
    make_benchmark: MakeBenchmark, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(linear(), path)

    assert resolve_model(make_benchmark(), path).sha256 == by_cat(path)
