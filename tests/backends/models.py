"""Small ONNX models, made where a test needs them, with answers that NumPy can compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from backends.base import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, ValueInfoProto

    from backends.base import Array

SHAPE = (2, 3, 4)
CLASSES = 5
OPSET = 17
IR_VERSION = 9


def weights() -> NDArray[np.float32]:
    """Return the weights of `linear`, [24, CLASSES] float32, small whole numbers."""
    flat = int(np.prod(SHAPE))
    return np.random.default_rng(0).integers(-4, 5, (flat, CLASSES)).astype(np.float32)


def linear(
    *,
    batch: int | str = "N",
    shape: Sequence[int | str] = SHAPE,
    dtype: type[np.generic] = np.float32,
) -> ModelProto:
    """Return x [batch, *shape] -> logits [batch, CLASSES], best [batch, 1] int64: its argmax."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["best"], axis=1),
        ],
        [helper.make_tensor_value_info("x", kind, [batch, *shape])],
        [
            helper.make_tensor_value_info("logits", kind, [batch, CLASSES]),
            helper.make_tensor_value_info("best", TensorProto.INT64, [batch, 1]),
        ],
        {"w": weights().astype(dtype)},
    )


def linear_answers(samples: Array) -> tuple[Array, Array]:
    """Return what `linear` answers."""
    flat = samples.reshape(len(samples), -1).astype(np.float32)
    logits = flat @ weights()
    return logits, np.argmax(logits, axis=1, keepdims=True)


# A model of three inputs, as those of a text have: 48, 6 and 48 bytes a sample.
THREE = (
    TensorSpec("ids", (6,), "int64"),
    TensorSpec("mask", (6,), "bool"),
    TensorSpec("values", (3, 4), "float32"),
)
WORDS = 12  # rows of its table


def three_weights() -> dict[str, NDArray[np.float32]]:
    """Return the constants of `three`, small whole numbers."""
    shapes = {"table": (WORDS,), "w": (6, CLASSES), "v": (12, CLASSES)}
    random = np.random.default_rng(3)
    return {
        name: random.integers(-4, 5, shape).astype(np.float32) for name, shape in shapes.items()
    }


def three() -> ModelProto:
    """Return a model of the inputs THREE with the outputs of `linear`."""
    kinds = {tensor: helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)) for tensor in THREE}
    return model(
        [
            helper.make_node("Gather", ["table", "ids"], ["words"], axis=0),
            helper.make_node("Cast", ["mask"], ["weight"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["words", "weight"], ["kept"]),
            helper.make_node("MatMul", ["kept", "w"], ["of_words"]),
            helper.make_node("Flatten", ["values"], ["flat"]),
            helper.make_node("MatMul", ["flat", "v"], ["of_values"]),
            helper.make_node("Add", ["of_words", "of_values"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["best"], axis=1),
        ],
        [
            helper.make_tensor_value_info(tensor.name, kind, ["N", *tensor.shape])
            for tensor, kind in kinds.items()
        ],
        [
            floats("logits", "N", CLASSES),
            helper.make_tensor_value_info("best", TensorProto.INT64, ["N", 1]),
        ],
        three_weights(),
    )


def three_answers(ids: Array, mask: Array, values: Array) -> tuple[Array, Array]:
    """Return what `three` answers."""
    held = three_weights()
    kept = held["table"][ids.astype(np.int64)] * mask.astype(np.float32)
    flat = values.reshape(len(values), -1).astype(np.float32)
    logits = kept @ held["w"] + flat @ held["v"]
    return logits, np.argmax(logits, axis=1, keepdims=True)


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Mapping[str, Array] | None = None,
) -> ModelProto:
    """Return a model of these parts."""
    held = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, held)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def floats(name: str, *shape: int | str) -> ValueInfoProto:
    """Return the declaration of a float32 tensor."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(proto: ModelProto, folder: Path) -> str:
    """Save a model as `model.onnx`; return the path."""
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return str(path)
