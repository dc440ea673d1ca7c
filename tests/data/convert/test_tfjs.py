"""The converter against what TensorFlow.js itself answered (tfjs_reference.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from data.convert import tfjs
from data.convert.tfjs_file import read_tfjs
from data.convert.tfjs_operators import OPERATORS
from sut.base.errors import DataError
from tests.data.convert.tfjs_cases import CASES, INPUT, Case, Json, conv, node

Floats = NDArray[np.float32]

EXPECTED = json.loads((Path(__file__).parent / "tfjs_expected.json").read_text("utf-8"))


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def write(case: Case, folder: Path) -> Path:
    """Write the case as a network of one output and convert it; return the ONNX file."""
    target = folder / "model.onnx"
    output = tfjs.Output("answer", (case.output,), tuple(EXPECTED[case.name]["shape"][1:]))
    tfjs.write_onnx(read_tfjs(case.write(folder)), target, (output,))
    return target


def answer(model: Path, case: Case, images: Floats) -> Floats:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (wanted,) = session.get_inputs()
    transposed = wanted.shape[1:] != list(case.shape[1:])
    feed = np.ascontiguousarray(images.transpose(0, 3, 1, 2) if transposed else images)
    made: Floats = session.run(None, {wanted.name: feed})[0]
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_operator_answers_as_tensorflow_js_does(case: Case, tmp_path: Path) -> None:
    expected = EXPECTED[case.name]

    made = answer(write(case, tmp_path), case, case.images())

    assert list(made.shape) == expected["shape"]
    np.testing.assert_allclose(made.reshape(-1), expected["values"], rtol=1e-5, atol=1e-5)


def test_the_cases_and_what_was_expected_of_them_are_the_same() -> None:
    assert [case.name for case in CASES] == list(EXPECTED)
    assert {node["op"] for case in CASES for node in case.nodes} >= OPERATORS.keys() - {
        "Placeholder"
    }


def test_images_are_not_transposed_around_a_convolution(tmp_path: Path) -> None:
    # [N, C, H, W] outside, and TensorFlow's transposes before and after: none of them is left.
    model = onnx.load(write(named("transposed"), tmp_path))

    assert [node.op_type for node in model.graph.node] == ["Conv", "Identity"]


def test_the_same_model_becomes_the_same_bytes(tmp_path: Path) -> None:
    first = write(named("reshape"), tmp_path).read_bytes()

    assert write(named("reshape"), tmp_path).read_bytes() == first


def test_outputs_of_several_parts_stand_one_behind_the_other(tmp_path: Path) -> None:
    case = named("concat")
    model = read_tfjs(case.write(tmp_path))
    target = tmp_path / "model.onnx"

    tfjs.write_onnx(model, target, (tfjs.Output("both", ("same", INPUT), (10, 6, 3)),))

    images = case.images()
    np.testing.assert_array_equal(answer(target, case, images), np.hstack([images, images]))


@pytest.mark.parametrize(
    ("nodes", "fragment"),
    [
        ([node("out", "Softmax", INPUT)], "out is a Softmax; expected one of Add, "),
        ([node("out", "Relu", "other")], "there is no node other"),
        ([conv("_FusedConv2D", INPUT, "w", "w", fused_ops=["FusedBatchNorm"])], "fused with"),
        ([conv("Conv2D", INPUT, INPUT)], "is computed; expected a constant"),
        ([conv("Conv2D", INPUT, "w", padding="EXPLICIT")], "EXPLICIT"),
        ([node("out", "Relu", "w")], "out: Relu of a constant"),
        ([node("out", "Reshape", INPUT, "pair")], "a reshape to [2 3]"),
        ([node("out", "Mean", INPUT, "pair", keep_dims=False)], "drops axes"),
        ([node("out", "Add", "w", "w")], "out is a constant"),
    ],
)
def test_what_the_converter_does_not_know_is_refused(
    nodes: Sequence[Json], fragment: str, tmp_path: Path
) -> None:
    constants = {**named("conv_same").constants, "pair": np.array([2, 3], np.int32)}
    case = replace(named("conv_same"), constants=constants, nodes=nodes)

    with pytest.raises(DataError, match=re.escape(fragment)):
        tfjs.write_onnx(
            read_tfjs(case.write(tmp_path)), tmp_path / "x", (tfjs.Output("y", ("out",), ()),)
        )


def test_weights_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    path = named("conv_same").write(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-8])

    with pytest.raises(DataError, match=r"model\.json: ValueError.*TensorFlow\.js graph model"):
        read_tfjs(path)


def test_weights_beyond_those_that_are_named_are_refused(tmp_path: Path) -> None:
    path = named("conv_same").write(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes() + b"more")

    with pytest.raises(DataError, match="bytes of weights are named; the files have"):
        read_tfjs(path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = named("conv_same").write(tmp_path)
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(DataError, match=r"weights\.bin: No such file"):
        read_tfjs(path)


def test_another_json_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    path.write_text("{}")

    with pytest.raises(DataError, match=r"package\.json: KeyError.*TensorFlow\.js graph model"):
        read_tfjs(path)
