"""ResNet-50 v1.5 with random weights, as ONNX: to measure speed without trained weights.

v1.5 has the stride of a block in its 3x3 convolution. Batch norms are folded into the
convolutions, as they are for inference: https://arxiv.org/abs/1512.03385, table 1. Input
[N, 3, 224, 224]; output `top1` [N, 1] int64, the best class, as MLPerf's own file has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "1"  # raise it whenever the same seed becomes another file

_OPSET = 17
_IR_VERSION = 9  # read by ONNX Runtime 1.15 and later
_CLASSES = 1000
_SIDE = 224
_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
# Scale of what a block adds to its shortcut, so that sixteen of them stay within float16.
_RESIDUAL_SCALE = 0.25


def make(target: Path, seed: int, dtype: str) -> None:
    """Write the model to `target`, weights and input in `dtype`; the same bytes for a seed."""
    model = _Graph(seed, np.dtype(dtype)).build()
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """An ONNX graph while it grows; a value is known by its name."""

    def __init__(self, seed: int, dtype: np.dtype[Any]) -> None:
        self._random = np.random.default_rng(seed)
        self._dtype = dtype
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        """Return the whole model."""
        x = self._relu(self._conv("input", "stem", (64, 3, 7), stride=2))
        x = self._node(
            "MaxPool", "pool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )
        channels = 64
        for stage, blocks in enumerate(_BLOCKS):
            width = 64 << stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                x = self._block(x, f"stage{stage + 1}.{block}", (channels, width), stride)
                channels = width * _EXPANSION
        x = self._node("Flatten", "flat", [self._node("GlobalAveragePool", "mean", [x])])
        weight = self._constant("fc.weight", (_CLASSES, channels), channels)
        bias = self._constant("fc.bias", (_CLASSES,), _CLASSES)
        x = self._node("Gemm", "logits", [x, weight, bias], transB=1)
        scores = self._node("Cast", "scores", [x], to=TensorProto.FLOAT)
        self._node("ArgMax", "top1", [scores], axis=1, keepdims=1)
        return self._model()

    def _block(self, x: str, name: str, channels: tuple[int, int], stride: int) -> str:
        """Reduce, filter, expand; add the input, projected where its shape changes."""
        before, width = channels
        after = width * _EXPANSION
        y = self._relu(self._conv(x, f"{name}.reduce", (width, before, 1)))
        y = self._relu(self._conv(y, f"{name}.filter", (width, width, 3), stride=stride))
        y = self._conv(y, f"{name}.expand", (after, width, 1), scale=_RESIDUAL_SCALE)
        if before != after or stride > 1:
            x = self._conv(x, f"{name}.project", (after, before, 1), stride=stride)
        return self._relu(self._node("Add", f"{name}.add", [y, x]))

    def _conv(
        self,
        x: str,
        name: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        scale: float = 1.0,
    ) -> str:
        out, into, side = shape
        weight = self._constant(
            f"{name}.weight", (out, into, side, side), into * side * side, scale
        )
        bias = self._constant(f"{name}.bias", (out,), out)
        pads = [side // 2] * 4
        return self._node(
            "Conv", name, [x, weight, bias],
            kernel_shape=[side, side], strides=[stride, stride], pads=pads,
        )  # fmt: skip

    def _relu(self, x: str) -> str:
        return self._node("Relu", f"{x}.relu", [x])

    # An attribute is a number, or a list of them, as the operator says.
    def _node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, shape: tuple[int, ...], fan_in: int, scale: float = 1.0) -> str:
        """Add normal weights after He et al.: a layer does not change the spread."""
        values: NDArray[np.float64] = self._random.standard_normal(shape)
        values *= scale * np.sqrt(2 / fan_in)
        self._constants.append(numpy_helper.from_array(values.astype(self._dtype), name))
        return name

    def _model(self) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(self._dtype)
        graph = helper.make_graph(
            self._nodes,
            "resnet50_random",
            [helper.make_tensor_value_info("input", kind, ["N", 3, _SIDE, _SIDE])],
            [helper.make_tensor_value_info("top1", TensorProto.INT64, ["N", 1])],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
