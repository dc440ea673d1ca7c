"""Read the tensors of a PyTorch checkpoint without PyTorch. Runs no code that the file names.

The format is that of torch.save before 1.6: a row of pickles (magic number, protocol, system, the
state, the storages' keys), then each storage as an int64 count and its raw little-endian elements.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_ITEM_BYTES = {"FloatStorage": 4, "LongStorage": 8}


# Errors from a pickle, or from its content, that is not what the reader expects.
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def load_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the checkpoint's float32 tensors by name, as copies.

    Raises:
        DataError: the file is not such a checkpoint, is cut off, or names anything but tensors.
    """
    try:
        with path.open("rb") as file:
            state, storages = _read(file)
            return {
                name: _tensor(value, storages[value.storage.key])
                for name, value in state.items()
                if value.storage.dtype == "FloatStorage"
            }
    except _BROKEN as error:
        raise DataError(
            f"{path}: {error}; expected the tensors of a PyTorch checkpoint, saved before 1.6."
        ) from error


def _read(file: BinaryIO) -> tuple[dict[str, _Tensor], dict[str, NDArray[np.float32]]]:
    """Return the tensors' descriptions, and the storages that hold their elements."""
    if _Unpickler(file).load() != _MAGIC:
        raise ValueError("the magic number is missing")
    _Unpickler(file).load()  # protocol version
    _Unpickler(file).load()  # word sizes of the machine that wrote it
    state: dict[str, _Tensor] = _Unpickler(file).load()
    item_bytes = {t.storage.key: _ITEM_BYTES[t.storage.dtype] for t in state.values()}
    storages = {key: _read_storage(file, item_bytes[key]) for key in _Unpickler(file).load()}
    return state, storages


def _read_storage(file: BinaryIO, item_bytes: int) -> NDArray[np.float32]:
    """Return a storage's elements; skips over those of other types and reads them as float32."""
    size = int.from_bytes(file.read(8), "little") * item_bytes
    data = file.read(size)
    if len(data) != size:
        raise EOFError("the file ends within a tensor")
    return np.frombuffer(data, "<f4")


def _tensor(tensor: _Tensor, storage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of a tensor; its strides count elements of `storage`."""
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride, strict=True)
    )
    # The strides come from the file, and NumPy does not check them.
    if min(tensor.offset, *tensor.shape, *tensor.stride, 0) < 0 or last >= len(storage):
        raise ValueError(f"a tensor of shape {tensor.shape} lies outside its storage")
    strides = [stride * storage.itemsize for stride in tensor.stride]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides)
    return view.copy()


class _Unpickler(pickle.Unpickler):
    """Builds tensors' descriptions, ordered dicts and plain values; refuses every other name."""

    def find_class(self, module: str, name: str) -> Callable[..., object] | str:
        """Return a stand-in for one of the few names that a checkpoint may use."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _ITEM_BYTES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: tuple[object, ...]) -> _Storage:
        """Return the description of a storage; its elements follow the pickles."""
        kind, dtype, key = pid[:3]
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return _Storage(str(dtype), str(key))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(stride))
