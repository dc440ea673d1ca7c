"""Read a frozen TensorFlow graph (.pb): its nodes and the values of its constants.

Source of the format: tensorflow/tensorflow, core/framework/graph.proto, node_def.proto,
attr_value.proto, tensor.proto; and protobuf's wire format. Runs nothing of the graph, and needs no
TensorFlow.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from data.convert.tfjs_file import Node, TfjsModel
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from data.convert.tfjs_file import Array

    Message = Mapping[int, list[Any]]

_DTYPES = {1: np.float32, 3: np.int32, 9: np.int64, 10: np.bool_}  # of types.proto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_NODE = 1
_NAME, _OP, _INPUT, _ATTR = 1, 2, 3, 5  # of a NodeDef
_KEY, _VALUE = 1, 2  # of an entry of a map
_LIST, _S, _I, _F, _B, _, _SHAPE, _TENSOR = range(1, 9)  # of an AttrValue
_DIM, _SIZE = 2, 1  # of a TensorShapeProto, and of its Dim
_DTYPE, _TENSOR_SHAPE, _CONTENT, _FLOATS, _INTS = 1, 2, 4, 5, 7  # of a TensorProto
_INT64S, _BOOLS = 10, 11


def read_graph_def(path: Path) -> TfjsModel:
    """Read a graph; constants of other types than numbers are left out.

    Raises:
        DataError: the file is missing, or no frozen graph.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a frozen graph.") from error
    try:
        nodes = [_node(raw) for raw in _message(content)[_NODE]]
        constants = {node.name: node.attributes["value"] for node in nodes if _is_constant(node)}
    except (IndexError, KeyError, ValueError, UnicodeDecodeError, struct.error) as error:
        raise DataError(
            f"{path}: {type(error).__name__}: {error}; expected a frozen TensorFlow graph."
        ) from error
    if not nodes:
        raise DataError(f"{path}: it has no nodes; expected a frozen TensorFlow graph.")
    return TfjsModel({node.name: node for node in nodes}, constants)


def _is_constant(node: Node) -> bool:
    return node.op == "Const" and node.attributes.get("value") is not None


def _node(raw: bytes) -> Node:
    message = _message(raw)
    inputs = tuple(name for name in map(_text, message[_INPUT]) if not name.startswith("^"))
    entries = [_message(entry) for entry in message[_ATTR]]
    attributes = {_text(entry[_KEY][0]): _attribute(entry[_VALUE][0]) for entry in entries}
    return Node(_text(message[_NAME][0]), _text(message[_OP][0]), inputs, attributes)


def _attribute(raw: bytes) -> Any:
    message = _message(raw)
    readers: Mapping[int, Callable[[Any], Any]] = {
        _LIST: lambda value: _listed(_message(value)),
        _S: lambda value: value.decode("utf-8", "replace"),
        _I: _signed,
        _F: lambda value: struct.unpack("<f", value)[0],
        _B: bool,
        _SHAPE: _shape,
        _TENSOR: _tensor,
    }
    for field, read in readers.items():
        if message[field]:
            return read(message[field][0])
    return None


def _listed(message: Message) -> list[Any]:
    if message[_S]:
        return [raw.decode("utf-8", "replace") for raw in message[_S]]
    return [_signed(value) for value in _packed(message[_I])]


def _tensor(raw: bytes) -> Array | None:
    """Return a tensor's values; None for texts and other types."""
    message = _message(raw)
    kind = _DTYPES.get(message[_DTYPE][0])
    if kind is None:
        return None
    shape = _shape(message[_TENSOR_SHAPE][0]) if message[_TENSOR_SHAPE] else ()
    if message[_CONTENT] and message[_CONTENT][0]:
        return np.frombuffer(message[_CONTENT][0], kind).reshape(shape)
    if kind is np.float32:
        values: Array = np.frombuffer(b"".join(message[_FLOATS]), np.float32)
    else:
        field = {np.int32: _INTS, np.int64: _INT64S, np.bool_: _BOOLS}[kind]
        values = np.array([_signed(value) for value in _packed(message[field])]).astype(kind)
    count = int(np.prod(shape))
    # A value that is repeated to the end is written once.
    padded = np.concatenate([values, np.repeat(values[-1:], count - len(values))])
    return padded.reshape(shape)


def _shape(raw: bytes) -> tuple[int, ...]:
    dims = [_message(dim) for dim in _message(raw)[_DIM]]
    return tuple(_signed(dim[_SIZE][0]) if dim[_SIZE] else 0 for dim in dims)


def _packed(values: list[Any]) -> Iterator[int]:
    """Yield the integers of a repeated field, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _text(raw: bytes) -> str:
    return raw.decode("utf-8")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _message(raw: bytes) -> Message:
    """Return the values of each field: integers of varints, bytes of all others."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(raw, at)
            found[field].append(value)
            continue
        if kind == _BYTES:
            size, at = _varint(raw, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(raw):
            raise ValueError("the file is cut off")
        found[field].append(raw[at : at + size])
        at += size
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004 - the highest bit says that more follow
            return value, at
