"""Read a TensorFlow.js graph model: a JSON file, and beside it the files of its weights.

Source of the format: tensorflow/tfjs, tfjs-core/src/io/types.ts (weightsManifest, quantization) and
tfjs-converter/src/data/api.ts (nodes and attributes). Runs nothing of the model.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Array: TypeAlias = NDArray[np.generic]

_DTYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph.

    Attributes:
        name: unique in the graph.
        op: TensorFlow's name of the operation.
        inputs: tensors as `node` or `node:k`, k being the output of that node; no control inputs.
        attributes: numbers, texts, lists of them, and shapes as tuples; -1 is an open size.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TfjsModel:
    """The nodes of a graph and the values of its constants, both by name."""

    nodes: Mapping[str, Node]
    constants: Mapping[str, Array]


def read_tfjs(path: Path) -> TfjsModel:
    """Read the graph model whose JSON file is `path`.

    Raises:
        DataError: a file is missing, is cut off, or is no graph model.
    """
    try:
        content = json.loads(path.read_bytes())
        nodes = [_node(node) for node in content["modelTopology"]["node"]]
        constants = {
            name: value
            for group in content["weightsManifest"]
            for name, value in _weights(group, path.parent)
        }
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; expected it with {path}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: {type(error).__name__}: {error}; expected a TensorFlow.js graph model."
        ) from error
    return TfjsModel({node.name: node for node in nodes}, constants)


def _node(node: Mapping[str, Any]) -> Node:
    inputs = tuple(name for name in node.get("input", ()) if not name.startswith("^"))
    attributes = {name: _attribute(value) for name, value in node.get("attr", {}).items()}
    return Node(node["name"], node["op"], inputs, attributes)


def _attribute(value: Mapping[str, Any]) -> Any:
    """Turn `{"i": "3"}`, `{"list": {"s": [...]}}` and the like into a value of Python."""
    kind, content = next(iter(value.items()))
    match kind:
        case "list":
            return [_attribute({kind: each}) for kind, items in content.items() for each in items]
        case "i":
            return int(content)
        case "f":
            return float(content)
        case "s":
            return base64.b64decode(content).decode()
        case "shape":
            return tuple(int(size["size"]) for size in content.get("dim", ()))
    return content


def _weights(group: Mapping[str, Any], folder: Path) -> list[tuple[str, Array]]:
    """Return the named arrays of one group, which lie in its files one after the other."""
    content = b"".join((folder / name).read_bytes() for name in group["paths"])
    found, start = [], 0
    for entry in group["weights"]:
        shape, dtype = tuple(entry["shape"]), np.dtype(_DTYPES[entry["dtype"]])
        quantization = entry.get("quantization")
        stored = np.dtype(quantization["dtype"]) if quantization else dtype
        count = int(np.prod(shape))
        array = np.frombuffer(content, stored, count, start)
        start += array.nbytes
        if quantization and stored != np.float16:  # integers on a scale
            array = array * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        found.append((entry["name"], array.astype(dtype).reshape(shape)))
    if start != len(content):
        raise ValueError(f"{start} bytes of weights are named; the files have {len(content)}")
    return found
