"""How samples travel to the nodes, and what the sample library makes of them before the test.

Raw samples are sent from where they lie. Others are packed when LoadGen has them loaded, which is
not timed; the node unpacks each one, which is. The rules permit no compression, lossless
compression, or the data set's own (JPEG).
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.benchmark import Benchmark
    from sut.config.arguments import Travel
    from sut.serve.samples import SampleSource

    # What a message carries for a sample: one piece for each input, or one image.
    Pieces = tuple[memoryview, ...]
    # The bytes of one row, of each input.
    Place = tuple[memoryview, ...]

# More makes samples of photos hardly smaller, and takes several times as long to pack.
_LEVEL = 1


def packed(source: SampleSource, travel: Travel, files: Sequence[str]) -> Mapping[int, Pieces]:
    """Return what travels for each sample that is loaded, by data set index.

    Args:
        source: the samples; they stay in memory.
        travel: how they travel.
        files: of the images, by data set index; only for "jpeg".

    Raises:
        DataError: an image cannot be read.
    """
    indices = dict.fromkeys(source.indices)
    if travel == "jpeg":
        return {index: (_read(files[index]),) for index in indices}
    loaded = source.read()
    rows = [array.reshape(len(array), -1).view(np.uint8) for array in loaded.arrays.values()]
    found = {}
    for index in indices:
        row = loaded.row_of[index]
        pieces = tuple(memoryview(array[row]) for array in rows)
        if travel == "lossless":
            pieces = tuple(memoryview(zlib.compress(piece, _LEVEL)) for piece in pieces)
        found[index] = pieces
    return found


def _read(path: str) -> memoryview:
    try:
        with open(path, "rb") as file:
            return memoryview(file.read())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected an image.") from error


class Unpack(Protocol):
    """Brings what travelled into the row of a slab, on a thread of the node."""

    def __call__(self, pieces: Sequence[memoryview], place: Place) -> None:
        """Fill `place`. Raises ValueError if the pieces are not those of a sample."""


def inflate(pieces: Sequence[memoryview], place: Place) -> None:
    """Unpack a sample that was compressed without loss; see Unpack."""
    for piece, room in zip(pieces, place, strict=True):
        # One byte more than there is room for shows what is too large, whatever it would become.
        found = zlib.decompressobj().decompress(piece, len(room) + 1)
        if len(found) != len(room):
            raise ValueError(f"a sample of {len(found)} bytes or more; expected {len(room)}")
        room[:] = found


class _Arrived(io.BytesIO):
    """The bytes of an image file, for messages."""

    def __str__(self) -> str:
        return "an image that came over the network"


class DecodeImage:
    """Makes the sample of an image as `data.preprocess` makes it; see Unpack."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        tensor = benchmark.inputs[0]
        self._layout, self._dtype = tensor.layout, np.dtype(tensor.dtype)

    def __call__(self, pieces: Sequence[memoryview], place: Place) -> None:
        """Decode, resize, crop and normalise."""
        from data.images import read_sample  # noqa: PLC0415 - Pillow, only where images travel

        steps = self._benchmark.preprocess
        sample = read_sample(_Arrived(pieces[0]), steps, self._layout, self._dtype)
        flat = np.ascontiguousarray(sample).reshape(-1).view(np.uint8)
        if flat.nbytes != len(place[0]):
            raise ValueError(f"an image that makes {flat.nbytes} bytes; expected {len(place[0])}")
        place[0][:] = flat.data
