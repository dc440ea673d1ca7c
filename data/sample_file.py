"""Samples in a .npy file an input, with their hashes: made in parallel, kept whole or not at all.

Knows neither images nor benchmarks: a row is what the given function returns.
"""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.base.errors import DataError
from sut.base.files import CACHE_VARIABLE, replace_folder, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sut.base.progress import Progress

    Read = Callable[[int], Sequence[NDArray[np.generic]]]

log = logging.getLogger(__name__)

_META = "meta.json"
_MAX_ERRORS = 20  # broken images after which the rest is skipped
_NAMED_ERRORS = 3
# Rows to hash again when an entry is used: all, up to this many bytes; beyond that, evenly spread
# ones, so that a start takes about a second.
_VERIFIED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Part:
    """What one input of the model takes of a sample.

    Attributes:
        shape: without the axis of the samples.
        dtype: of its numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def bytes(self) -> int:
        """Bytes of one sample."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Rows:
    """The content of an entry.

    Attributes:
        count: samples.
        parts: of a sample, one an input.
    """

    count: int
    parts: tuple[Part, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return sum(part.bytes for part in self.parts)

    def files(self, entry: Path) -> tuple[Path, ...]:
        """Return the .npy file of each part, [count, *shape], C-contiguous."""
        others = (f"samples-{k}.npy" for k in range(1, len(self.parts)))
        return tuple(entry / name for name in ("samples.npy", *others))


class _Meta(msgspec.Struct, frozen=True):
    """SHA-256 of every row with all its parts, cut to 16 bytes, in hexadecimal."""

    rows: list[str]


def find_samples(entry: Path, rows: Rows) -> str | None:
    """Return the digest of the samples in the folder `entry`; None if absent or damaged."""
    try:
        meta = msgspec.json.decode((entry / _META).read_bytes(), type=_Meta)
        samples = [np.load(file, mmap_mode="r") for file in rows.files(entry)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, msgspec.DecodeError) as error:
        log.warning("%s is damaged (%s): it is made again", entry, error)
        return None
    expected = [((rows.count, *part.shape), part.dtype) for part in rows.parts]
    found = [(array.shape, array.dtype) for array in samples]
    if found != expected or len(meta.rows) != rows.count:
        log.warning("%s holds other samples than expected: it is made again", entry)
        return None
    step = max(1, -(-rows.count * rows.row_bytes // _VERIFIED_BYTES))
    for row in {*range(0, rows.count, step), rows.count - 1}:
        if _hash([array[row] for array in samples]) != meta.rows[row]:
            log.warning("%s is damaged in row %d: it is made again", entry, row)
            return None
    return _digest(rows, meta.rows)


def make_samples(
    entry: Path,
    rows: Rows,
    read: Read,
    jobs: int,
    progress: Progress | None = None,
) -> str:
    """Make the folder `entry` with the samples that `read` gives for 0 to count - 1.

    Args:
        entry: replaced in one step, when everything is there.
        rows: what `read` gives.
        read: gives the parts of a sample. Called in threads; Pillow and NumPy leave Python's lock
            free in their long calls.
        jobs: threads.
        progress: called with (done, all) in samples.

    Returns:
        The digest of the samples.

    Raises:
        DataError: `read` refused samples, or the disk is full; nothing is left.
    """
    with temporary_folder(entry.parent) as folder:
        made = folder / "entry"
        made.mkdir()
        files = rows.files(made)
        for file, part in zip(files, rows.parts, strict=True):
            _allocate(file, rows.count, part)
        samples = [np.load(file, mmap_mode="r+") for file in files]
        hashes = _fill(samples, read, jobs, progress)
        for array in samples:
            array.flush()
        (made / _META).write_bytes(msgspec.json.encode(_Meta(hashes)))
        replace_folder(made, entry)
    return _digest(rows, hashes)


def _fill(
    samples: Sequence[NDArray[np.generic]], read: Read, jobs: int, progress: Progress | None
) -> list[str]:
    """Fill all rows and return their hashes."""

    def fill(row: int) -> tuple[int, str]:
        for array, part in zip(samples, read(row), strict=True):
            array[row] = part
        return row, _hash([array[row] for array in samples])

    count = len(samples[0])
    hashes = [""] * count
    errors: list[DataError] = []
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="preprocess")
    try:
        futures = [pool.submit(fill, row) for row in range(count)]
        for done, future in enumerate(as_completed(futures), start=1):
            try:
                row, hashes[row] = future.result()
            except DataError as error:
                errors.append(error)
            if progress:
                progress(done, count)
            if len(errors) == _MAX_ERRORS:
                break
    finally:
        pool.shutdown(cancel_futures=True)
    _raise(errors)
    return hashes


def _raise(errors: list[DataError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        named = " ".join(sorted(str(error) for error in errors)[:_NAMED_ERRORS])
        count = f"{len(errors)} or more" if len(errors) == _MAX_ERRORS else str(len(errors))
        raise DataError(f"{count} images are unusable: {named}") from errors[0]


def _allocate(path: Path, count: int, part: Part) -> None:
    """Write an .npy file of zeros with its disk space: writing a map to a full disk kills."""
    header = {
        "descr": np.lib.format.dtype_to_descr(part.dtype),
        "fortran_order": False,
        "shape": (count, *part.shape),
    }
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            size = file.tell() + count * part.bytes
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise DataError(
            f"{path.parent}: no space for {count * part.bytes} bytes of samples: "
            f"{error.strerror}. Free some space, or set {CACHE_VARIABLE} to a folder with more."
        ) from error


def _hash(parts: Sequence[NDArray[np.generic]]) -> str:
    content = hashlib.sha256()
    for part in parts:
        content.update(np.ascontiguousarray(part).data)
    return content.hexdigest()[:32]


def _digest(rows: Rows, hashes: list[str]) -> str:
    kinds = [fact for part in rows.parts for fact in (part.shape, part.dtype.str)]
    return hashlib.sha256(repr((*kinds, rows.count, hashes)).encode()).hexdigest()
