"""Looks at an ONNX file: is it there, is it whole, and in which precision are its weights?

Knows no inference library, and imports onnx, which is slow, only when a file is parsed.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from dataclasses import dataclass
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

# What protobuf reads at once, and so the most that one ONNX file can hold.
MOST_BYTES = (1 << 31) - 1

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
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(
            f"{path}: has {size / 1e9:.1f} GB; expected at most 2 GB, the limit of one "
            "ONNX file. Export it with its weights in a file of their own."
        )
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
        DataError: one is missing or cut short.
    """
    if not _mentions(path, _LOCATION):
        return ()
    try:
        model = _model(path)
    except ValueError:  # ONNX Runtime has formats of its own
        return ()
    ends: dict[str, int] = {}
    for place in filter(None, map(_place, _weights(model))):
        ends[place.name] = max(ends.get(place.name, 0), place.offset + place.size)
    for name, end in sorted(ends.items()):
        file = path.parent / name
        if not file.is_file():
            raise DataError(
                f"{file}: no such file; {path} keeps weights in it. Copy it beside the model."
            )
        if file.stat().st_size < end:
            raise DataError(
                f"{file}: has {file.stat().st_size} bytes; expected {end} or more, because {path} "
                "keeps so many weights in it. It was cut short: copy or download it again."
            )
    return tuple(path.parent / name for name in sorted(ends))


def load_whole(path: Path) -> ModelProto:
    """Return a model with all its weights inside, also where links lead to them.

    Raises:
        EngineError: they are more than one ONNX file can hold.
        DataError: a file of weights is missing or cut short.
    """
    size = sum(part.stat().st_size for part in (path, *external_files(path)))
    if size > MOST_BYTES:
        raise EngineError(
            f"{path}: has {size / 1e9:.1f} GB with its weights; expected at most 2 GB, which one "
            "ONNX file can hold. Convert it with the tool that exported it, and give the result "
            "with --model."
        )
    model = _model(path)
    for tensor in _weights(model):
        place = _place(tensor)
        if place is None:
            continue
        with (path.parent / place.name).open("rb") as file:
            file.seek(place.offset)
            tensor.raw_data = file.read(place.size or -1)
        tensor.ClearField("external_data")
        tensor.data_location = tensor.DEFAULT
    return model


def declared_shape(path: Path, name: str) -> tuple[int | None, ...] | None:
    """Return the shape of an input, batch axis first, None for an open axis.

    None: the file has no such input, or is in a format of ONNX Runtime's own.
    """
    try:
        model = _model(path)
    except ValueError:
        return None
    for value in model.graph.input:
        if value.name == name:
            dims = value.type.tensor_type.shape.dim
            return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the weights of a tensor lie; size 0 is up to the end of the file."""

    name: str
    offset: int
    size: int


def _place(tensor: TensorProto) -> _Place | None:
    """Return where a tensor's weights lie; None: in the model's own file."""
    found = {entry.key: entry.value for entry in tensor.external_data}
    if _LOCATION.decode() not in found:
        return None
    try:
        offset, size = int(found.get("offset", 0)), int(found.get("length", 0))
    except ValueError:  # the engine says what is wrong with it
        offset = size = 0
    return _Place(found[_LOCATION.decode()], max(0, offset), max(0, size))


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
