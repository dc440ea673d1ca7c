"""Frozen graphs of TensorFlow, written here byte by byte, and what SSDLite's converter makes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from data.convert import ssdlite
from data.convert.graph_def import read_graph_def
from data.convert.tfjs import Output
from sut.base.errors import DataError

FLOAT, INT = 1, 3


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(array: NDArray[np.generic]) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in array.shape)
    kind = FLOAT if array.dtype == np.float32 else INT
    return field(8, field(1, kind) + field(2, shape) + field(4, array.tobytes()))


def ints(*values: int) -> bytes:
    return field(1, field(3, b"".join(map(varint, values))))


def node(name: str, op: str, inputs: tuple[str, ...] = (), **attributes: bytes) -> bytes:
    content = field(1, name.encode()) + field(2, op.encode())
    content += b"".join(field(3, each.encode()) for each in inputs)
    for key, value in attributes.items():
        content += field(5, field(1, key.encode()) + field(2, value))
    return field(1, content)


def constant(name: str, array: NDArray[np.generic]) -> bytes:
    return node(name, "Const", value=tensor(array))


def test_constants_lists_and_texts_are_read(tmp_path: Path) -> None:
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    repeated = field(8, field(1, INT) + field(2, field(2, field(1, 4))) + field(7, 7))
    path = tmp_path / "graph.pb"
    path.write_bytes(
        constant("w", weights)
        + node("r", "Const", value=repeated)
        + node(
            "conv", "Conv2D", ("x", "w", "^after"), strides=ints(1, 2, 2, 1),
            padding=field(2, b"SAME"), e=varint(4 << 3 | 5) + struct.pack("<f", 0.5),
            n=field(3, -1),
        )
    )  # fmt: skip

    graph = read_graph_def(path)

    np.testing.assert_array_equal(graph.constants["w"], weights)
    assert graph.constants["r"].tolist() == [7] * 4
    conv = graph.nodes["conv"]
    assert conv.inputs == ("x", "w")
    assert conv.attributes == {"strides": [1, 2, 2, 1], "padding": "SAME", "e": 0.5, "n": -1}


@pytest.mark.parametrize("content", [b"no graph at all", b"", field(1, b"\xff\xff"), b"\x0a\x7f"])
def test_what_is_no_graph_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"graph\.pb"):
        read_graph_def(path)


def test_batch_norm_bias_and_packed_shapes_become_onnx(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=(1, 1, 3, 4)).astype(np.float32)
    scale, offset, mean, bias = random.normal(size=(4, 4)).astype(np.float32)
    variance = np.abs(random.normal(size=4)).astype(np.float32) + 1
    parts = [constant(ssdlite.INPUT, np.zeros(1, np.float32)), constant("w", weight)]
    named = {"s": scale, "o": offset, "m": mean, "v": variance, "b": bias}
    parts += [constant(name, array) for name, array in named.items()]
    parts += [constant("four", np.array(4, np.int32)), constant("all", np.array(-1, np.int32))]
    nothing = np.zeros(1, np.int32)
    parts += [constant("begin", nothing)]
    parts += [
        node("conv", "Conv2D", (ssdlite.INPUT, "w"), strides=ints(1, 1, 1, 1),
             padding=field(2, b"SAME")),
        node("norm", "FusedBatchNorm", ("conv", "s", "o", "m", "v"),
             epsilon=varint(4 << 3 | 5) + struct.pack("<f", 0.001)),
        node("biased", "BiasAdd", ("norm", "b")),
        node("shape", "Shape", ("biased",)),
        node("batch", "StridedSlice", ("shape", "begin", "begin", "begin")),
        node("packed", "Pack", ("batch", "all", "four")),
        node("concat", "Reshape", ("biased", "packed")),
    ]  # fmt: skip
    path, target = tmp_path / "graph.pb", tmp_path / "made.onnx"
    path.write_bytes(b"".join(parts))
    output = Output("differences", ("concat",), (90_000, 4))

    ssdlite.write_onnx(path, target, (output,))
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    images = random.normal(size=(2, 3, 300, 300)).astype(np.float32)
    (made,) = session.run(None, {"sub": images})

    sums = images.transpose(0, 2, 3, 1) @ weight[0, 0]
    expected = (sums - mean) / np.sqrt(variance + 0.001) * scale + offset + bias
    np.testing.assert_allclose(made, expected.reshape(2, -1, 4), rtol=1e-4, atol=1e-4)
