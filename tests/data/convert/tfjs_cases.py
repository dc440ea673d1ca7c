"""Small TensorFlow.js graph models, one for each thing that the converter must know."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Json = Mapping[str, Any]

INPUT = "scope/images"
_IMAGE = (1, 5, 6, 3)


@dataclass(frozen=True, slots=True)
class Case:
    """A graph of one input, whose output is its last node."""

    name: str
    shape: tuple[int, ...]
    constants: Mapping[str, Array]
    nodes: Sequence[Json]
    quantization: Json | None = None

    @property
    def output(self) -> str:
        return str(self.nodes[-1]["name"])

    def images(self) -> NDArray[np.float32]:
        """Two samples of whole numbers, so that results are exact and short."""
        generator = np.random.default_rng(5)
        numbers = generator.integers(-4, 5, (2, *self.shape[1:]))
        return numbers.astype(np.float32)

    def write(self, folder: Path) -> Path:
        """Write the model into `folder`; return the path of its JSON file."""
        dtypes = {"f": "float32", "i": "int32"}
        weights, content = [], b""
        for name, array in self.constants.items():
            entry: dict[str, Any] = {"name": name, "shape": array.shape}
            entry["dtype"] = dtypes[array.dtype.kind]
            stored: Array = array.astype(entry["dtype"])
            if self.quantization and array.dtype.kind == "f":
                entry["quantization"] = self.quantization
                stored = array.astype(self.quantization["dtype"])
            weights.append(entry)
            content += stored.tobytes()
        nodes = [
            node(INPUT, "Placeholder", shape=self.shape),
            *(node(name, "Const") for name in self.constants),
            *self.nodes,
        ]
        manifest = [{"paths": ["weights.bin"], "weights": weights}]
        model = {"modelTopology": {"node": nodes, "versions": {}}, "weightsManifest": manifest}
        (folder / "weights.bin").write_bytes(content)
        path = folder / "model.json"
        path.write_text(json.dumps(model), "utf-8")
        return path


def node(name: str, op: str, *inputs: str, **attributes: object) -> Json:
    attr = {key: _attribute(value) for key, value in attributes.items()}
    attr |= {"T": {"type": "DT_FLOAT"}, "dtype": {"type": "DT_FLOAT"}}
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def _attribute(value: object) -> Json:
    if isinstance(value, tuple):
        return {"shape": {"dim": [{"size": str(size)} for size in value]}}
    if isinstance(value, list):
        items = [_attribute(each) for each in value]
        kind = next(iter(items[0]))
        return {"list": {kind: [item[kind] for item in items]}}
    if isinstance(value, str):
        return {"s": base64.b64encode(value.encode()).decode()}
    if isinstance(value, bool):
        return {"b": value}
    return {"f": value} if isinstance(value, float) else {"i": str(value)}


def _numbers(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def _whole(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def conv(
    op: str, *inputs: str, name: str = "out", padding: str = "SAME", stride: int = 1, **more: object
) -> Json:
    more |= {"dilations": [1, 1, 1, 1], "strides": [1, stride, stride, 1], "data_format": "NHWC"}
    return node(name, op, *inputs, padding=padding, **more)


def _resize(*, corners: bool, half: bool) -> Json:
    modes = {"align_corners": corners, "half_pixel_centers": half}
    return node("out", "ResizeBilinear", INPUT, "size", **modes)


_FUSED = ["BiasAdd", "Relu"]
_KERNEL = {"w": _numbers(3, 3, 3, 4)}
_BIASED = {**_KERNEL, "b": _numbers(4, seed=2)}
_SIZE = {"size": _whole(7, 9)}
# As PyTorch's graphs arrive: [N, C, H, W] outside, transposed around each convolution.
_TRANSPOSED = (
    node("in", "Transpose", INPUT, "to_last"),
    conv("Conv2D", "in", "w", padding="VALID", name="conv"),
    node("back", "Transpose", "conv", "to_first"),
)
_TRANSPOSES = {"to_last": _whole(0, 2, 3, 1), "to_first": _whole(0, 3, 1, 2)}

CASES = (
    Case("conv_same", _IMAGE, _KERNEL, [conv("Conv2D", INPUT, "w", stride=2)]),
    Case("conv_valid", _IMAGE, _KERNEL, [conv("Conv2D", INPUT, "w", padding="VALID")]),
    Case(
        "conv_fused",
        _IMAGE,
        _BIASED,
        [conv("_FusedConv2D", INPUT, "w", "b", fused_ops=_FUSED, num_args=1)],
    ),
    Case(
        "conv_bias",
        _IMAGE,
        _BIASED,
        [conv("_FusedConv2D", INPUT, "w", "b", fused_ops=["BiasAdd"], num_args=1)],
    ),
    Case(
        "depthwise",
        _IMAGE,
        {"w": _numbers(3, 3, 3, 2)},
        [conv("DepthwiseConv2dNative", INPUT, "w", stride=2)],
    ),
    Case(
        "depthwise_fused",
        _IMAGE,
        {"w": _numbers(3, 3, 3, 1), "b": _numbers(3, seed=2)},
        [conv("FusedDepthwiseConv2dNative", INPUT, "w", "b", fused_ops=_FUSED, num_args=1)],
    ),
    Case(
        "max_pool",
        _IMAGE,
        {},
        [node("out", "MaxPool", INPUT, padding="SAME", strides=[1, 2, 2, 1], ksize=[1, 3, 3, 1])],
    ),
    Case("resize_asymmetric", _IMAGE, _SIZE, [_resize(corners=False, half=False)]),
    Case("resize_half_pixel", _IMAGE, _SIZE, [_resize(corners=False, half=True)]),
    Case("resize_corners", _IMAGE, _SIZE, [_resize(corners=True, half=False)]),
    Case("relu", _IMAGE, {}, [node("out", "Relu", INPUT)]),
    Case(
        "relu6",
        _IMAGE,
        {"two": np.array(2, np.float32)},
        [node("more", "Mul", INPUT, "two"), node("out", "Relu6", "more")],
    ),
    Case("leaky_relu", _IMAGE, {}, [node("out", "LeakyRelu", INPUT, alpha=0.25)]),
    Case("sigmoid", _IMAGE, {}, [node("out", "Sigmoid", INPUT)]),
    Case("add_channels", _IMAGE, {"c": _numbers(3)}, [node("out", "AddV2", INPUT, "c")]),
    Case("add_rows", _IMAGE, {"c": _numbers(5, 1, 1)}, [node("out", "Add", "c", INPUT)]),
    Case(
        "squeeze_excite",
        _IMAGE,
        {"axes": _whole(1, 2)},
        [
            node("mean", "Mean", INPUT, "axes", keep_dims=True),
            node("out", "Mul", INPUT, "mean"),
        ],
    ),
    Case(
        "concat",
        _IMAGE,
        {"axis": np.array(-1, np.int32)},
        [node("same", "Identity", INPUT), node("out", "ConcatV2", INPUT, "same", "axis")],
    ),
    Case(
        "split",
        _IMAGE,
        {"sizes": _whole(1, 2), "axis": np.array(3, np.int32)},
        [
            node("parts", "SplitV", INPUT, "sizes", "axis", num_split=2),
            node("out", "Mul", "parts", "parts:1"),
        ],
    ),
    Case(
        "pad",
        _IMAGE,
        {"pads": _whole(0, 0, 1, 2, 3, 0, 0, 1).reshape(4, 2)},
        [node("out", "Pad", INPUT, "pads")],
    ),
    Case(
        "pad_value",
        _IMAGE,
        {"pads": _whole(0, 0, 1, 2, 3, 0, 0, 1).reshape(4, 2), "v": np.array(-7, np.float32)},
        [node("out", "PadV2", INPUT, "pads", "v")],
    ),
    Case("transposed", (1, 3, 5, 6), {**_KERNEL, **_TRANSPOSES}, _TRANSPOSED),
    Case(
        "add_transposed",
        (1, 3, 5, 6),
        {"w": _numbers(1, 1, 3, 3), **_TRANSPOSES, "c": _numbers(3, 1, 1)},
        [*_TRANSPOSED, node("more", "Add", "back", INPUT), node("out", "Add", "c", "more")],
    ),
    Case(
        "reshape",
        (1, 3, 5, 6),
        {
            **_KERNEL,
            **_TRANSPOSES,
            "where": np.zeros((0, 1), np.int32),
            "length": _whole(3),
            "what": np.zeros(0, np.int32),
            "zero": np.array(0, np.int32),
            "sizes": _whole(1, 4, 12),
            "swap": _whole(0, 2, 1),
        },
        [
            *_TRANSPOSED,
            node("zeros", "SparseToDense", "where", "length", "what", "zero"),
            node("shape", "AddV2", "sizes", "zeros"),
            node("flat", "Reshape", "back", "shape"),
            node("out", "Transpose", "flat", "swap"),
        ],
    ),
    Case(
        "float16",
        _IMAGE,
        {"w": _numbers(3, 3, 3, 4) / 3},
        [conv("Conv2D", INPUT, "w")],
        {"dtype": "float16", "original_dtype": "float32"},
    ),
    Case(
        "uint8",
        _IMAGE,
        {"w": np.abs(_numbers(3, 3, 3, 4))},
        [conv("Conv2D", INPUT, "w")],
        {"dtype": "uint8", "scale": 0.5, "min": -1.0, "original_dtype": "float32"},
    ),
)
