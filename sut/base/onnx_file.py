"""Looks at an ONNX file: is it there, is it whole, and in which precision are its weights?

Knows no inference library, and imports onnx, which is slow, only when a file is parsed.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import DataError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

# First bytes of other files that users give as a model, and what to do with each.
TAKEN_FOR_MODELS = (
    (b"version https://git-lfs", "a Git LFS pointer. Run git lfs pull to get the model itself"),
    (b"PK\x03\x04", "a zip archive, as PyTorch saves. Export the model to ONNX, or unpack it"),
    (b"\x80", "a Python pickle, as PyTorch saves. Export the model to ONNX"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras saves. Convert the model to ONNX"),
    (b"\x1f\x8b", "compressed with gzip. Unpack it"),
    (b"<", "a web page or XML. Download the model again"),
)

# The key under which a tensor names the file of its weights (onnx.proto, external_data).
_LOCATION = b"location"

# Names in onnx.TensorProto.DataType to the word for a precision. Other types hold no weights.
PRECISIONS = {
    "DOUBLE": "fp64",
    "FLOAT": "fp32",
    "FLOAT16": "fp16",
    "BFLOAT16": "bf16",
    "FLOAT8E4M3FN": "fp8",
    "FLOAT8E4M3FNUZ": "fp8",
    "FLOAT8E5M2": "fp8",
    "FLOAT8E5M2FNUZ": "fp8",
    "INT8": "int8",
    "UINT8": "int8",
    "INT4": "int4",
    "UINT4": "int4",
}


def check_file(path: str | None) -> str:
    """Return `path` if a model may be there.

    Raises:
        EngineError: no path, nothing there, no access, a directory, an empty file, or the first
            bytes of another format.
    """
    if path is None:
        raise EngineError("no model file is given; expected an ONNX file. Name one with --model.")
    if Path(path).is_dir():
        raise EngineError(f"{path}: is a directory; expected an ONNX file. Name the file in it.")
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe would block forever
        raise EngineError(f"{path}: is a device or a pipe; expected an ONNX file. Name a file.")
    try:
        with Path(path).open("rb") as file:
            head = file.read(max(len(start) for start, _ in TAKEN_FOR_MODELS))
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise EngineError(
            f"{path}: {reason}; expected an ONNX file. Check the path given as --model."
        ) from error
    if not head:
        raise EngineError(f"{path}: is empty; expected an ONNX file. Export or copy it again.")
    for start, what in TAKEN_FOR_MODELS:
        if head.startswith(start):
            raise EngineError(f"{path}: is not an ONNX model but {what}.")
    return path


def check_onnx(path: Path) -> None:
    """Raise DataError unless `path` parses as an ONNX model with nodes and outputs."""
    try:
        graph = _model(path).graph
    except ValueError as error:
        raise DataError(
            f"{path}: is not an ONNX model, or is incomplete; expected a whole .onnx file."
        ) from error
    if not graph.node or not graph.output:
        raise DataError(
            f"{path}: is an ONNX model without nodes or outputs; expected a whole model."
        )


def model_sha256(path: Path) -> str:
    """Return the SHA-256 of a model: of its file, followed by its files of weights, if any.

    `cat MODEL WEIGHTS... | sha256sum` prints the same, with the weights in order of their names.

    Raises:
        DataError: a file of weights is missing.
    """
    content = hashlib.sha256()
    for part in (path, *external_files(path)):
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: content)
    return content.hexdigest()


def external_files(path: Path) -> tuple[Path, ...]:
    """Return the files beside an ONNX file that hold weights of it, in order of their names.

    Most models have none, which shows without parsing them.

    Raises:
        DataError: one is missing.
    """
    if not _mentions(path, _LOCATION):
        return ()
    try:
        model = _model(path)
    except ValueError:  # ONNX Runtime has formats of its own
        return ()
    names = {
        entry.value
        for tensor in _weights(model)
        for entry in tensor.external_data
        if entry.key == _LOCATION.decode()
    }
    found = tuple(path.parent / name for name in sorted(names))
    for file in found:
        if not file.is_file():
            raise DataError(
                f"{file}: no such file; {path} keeps weights in it. Copy it beside the model."
            )
    return found


def _mentions(path: Path, word: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0


def precision_of(path: str, input_dtype: str) -> str:
    """Return the type that holds most of the weights: "fp32", "fp16", "int8" and so on.

    A model whose file holds no weights has the precision of its input. Types without a short name
    have NumPy's name.
    """
    import onnx  # noqa: PLC0415 - slow to import

    sizes: Counter[str] = Counter()
    try:
        model = _model(Path(path))
    except ValueError:  # ONNX Runtime has formats of its own
        model = onnx.ModelProto()
    for tensor in _weights(model):
        precision = PRECISIONS.get(onnx.TensorProto.DataType.Name(tensor.data_type))
        if precision:
            sizes[precision] += prod(tensor.dims)
    if sizes:
        return sizes.most_common(1)[0][0]
    return {"float32": "fp32", "float16": "fp16", "float64": "fp64"}.get(input_dtype, input_dtype)


def _model(path: Path) -> ModelProto:
    """Return the model without external data; raise ValueError if the file does not parse."""
    import onnx  # noqa: PLC0415 - slow to import
    from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as onnx
        DecodeError,
    )

    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError(str(error)) from error


def _weights(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor of a model, wherever ONNX allows one."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)


def _in_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):  # branches and loops
            yield from _in_graph(graph)
