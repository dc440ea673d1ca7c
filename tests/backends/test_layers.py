"""Which layers a library really ran, in which precision, and how fast it multiplies."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper

from backends.base import EngineSpec, TensorSpec
from backends.layers import Layer, executed_layers
from backends.onnxruntime.gemm import gemm_flops_per_s
from backends.onnxruntime.layers import layers_of
from backends.onnxruntime.precision import Calibration, convert
from sut.base.errors import EngineError
from tests.backends.models import floats, model, save

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

BATCH, SIDE, CLASSES = 3, 8, 10
# Of the whole model for a batch: a convolution with 16 channels, and a dense layer.
MACS = {"conv": BATCH * 16 * SIDE**2 * 16 * 9, "dense": BATCH * 16 * CLASSES}
INPUT = TensorSpec("x", (16, SIDE, SIDE), "float32")


def convolution() -> ModelProto:
    """Return a convolution, a mean over all pixels, and a dense layer."""
    random = np.random.default_rng(0)
    return model(
        [
            helper.make_node("Conv", ["x", "k", "b"], ["c"], name="conv", pads=[1] * 4),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["y"], name="dense"),
        ],
        [floats("x", "N", *INPUT.sizes)],
        [floats("y", "N", CLASSES)],
        {
            "k": random.standard_normal((16, 16, 3, 3)).astype(np.float32),
            "b": np.zeros(16, np.float32),
            "w": random.standard_normal((16, CLASSES)).astype(np.float32),
        },
    )


def run(path: Path | str) -> list[Layer]:
    spec = EngineSpec("onnxruntime", str(path), (INPUT,), None, BATCH)
    found = executed_layers(replace(spec, options={"intra_op_threads": 1}), BATCH)
    assert found is not None
    return list(found)


def macs(layer: Layer) -> int:
    """Return the multiply-adds by the shapes that the library tells."""
    if layer.op in {"Conv", "FusedConv"}:
        return prod(layer.outputs[0]) * prod(layer.inputs[1][1:])
    if layer.op == "QLinearConv":
        return prod(layer.outputs[0]) * prod(layer.inputs[3][1:])
    return prod(layer.outputs[0]) * layer.inputs[0][-1]


def test_an_fp32_model_runs_in_fp32_with_all_of_its_shapes(tmp_path: Path) -> None:
    found = run(save(convolution(), tmp_path))

    assert [layer.precision for layer in found] == ["fp32", "fp32"]
    assert [macs(layer) for layer in found] == list(MACS.values())


def test_nodes_without_names_are_found_by_their_order(tmp_path: Path) -> None:
    nameless = convolution()
    for node in nameless.graph.node:
        node.ClearField("name")

    assert [macs(layer) for layer in run(save(nameless, tmp_path))] == list(MACS.values())


def test_a_model_with_a_fixed_batch_is_profiled_with_it(tmp_path: Path) -> None:
    fixed = convolution()
    for tensor in (fixed.graph.input[0], fixed.graph.output[0]):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1

    assert run(save(fixed, tmp_path))[0].outputs[0][0] == 1


def test_an_fp16_model_runs_in_fp32_on_this_cpu(tmp_path: Path) -> None:
    """Nothing says so but the profile: neither an error, nor the types of the weights."""
    source = tmp_path / "model.onnx"
    onnx.save(convolution(), source)
    convert(source, half := tmp_path / "half.onnx", "fp16")

    assert {layer.precision for layer in run(half)} == {"fp32"}


def test_an_int8_model_runs_in_int8(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    onnx.save(convolution(), source)
    sample = {"x": np.random.default_rng(1).standard_normal(INPUT.sizes).astype(np.float32)}
    convert(source, small := tmp_path / "small.onnx", "int8-ort", Calibration(1, lambda k: sample))

    found = run(small)

    assert [layer.precision for layer in found] == ["int8", "int8"]
    assert macs(found[0]) == MACS["conv"]


def test_a_model_that_does_not_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x01 no model")

    with pytest.raises(EngineError, match="cannot be profiled") as caught:
        run(tmp_path / "bad.onnx")
    assert "\n" not in str(caught.value)


def test_a_node_that_the_graph_does_not_name_is_left_out() -> None:
    events = [
        {"cat": "Node", "name": "lost_kernel_time", "args": {"input_type_shape": [{"float": [1]}]}},
        {"cat": "Session", "name": "conv_kernel_time", "args": {}},
    ]

    assert layers_of(events, convolution()) == []


def test_a_backend_that_cannot_tell_says_nothing() -> None:
    assert executed_layers(EngineSpec("null", None, (), None, 1), 1) is None


def test_a_product_has_a_speed_in_what_onnx_runtime_computes_in() -> None:
    for precision in ("fp32", "int8"):
        found = gemm_flops_per_s(precision, 1, seconds=0.0, sides=(32, 64))
        assert found is not None
        assert found > 1e6
    assert gemm_flops_per_s("fp16", 1) is None
