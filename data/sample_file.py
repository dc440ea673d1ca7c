"""Samples in one .npy file with their hashes: made in parallel, kept whole or not at all.

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
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from sut.base.progress import Progress

log = logging.getLogger(__name__)

SAMPLES = "samples.npy"

_META = "meta.json"
_MAX_ERRORS = 20  # broken images after which the rest is skipped
_NAMED_ERRORS = 3
# Rows to hash again when an entry is used: all, up to this many bytes; beyond that, evenly spread
# ones, so that a start takes about a second.
_VERIFIED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Rows:
    """The content of a file of samples.

    Attributes:
        count: samples.
        shape: of one sample.
        dtype: of its numbers.
    """

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class _Meta(msgspec.Struct, frozen=True):
    """SHA-256 of every row, cut to 16 bytes, in hexadecimal."""

    rows: list[str]


def find_samples(entry: Path, rows: Rows) -> str | None:
    """Return the digest of the samples in the folder `entry`; None if absent or damaged."""
    try:
        meta = msgspec.json.decode((entry / _META).read_bytes(), type=_Meta)
        samples = np.load(entry / SAMPLES, mmap_mode="r")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, msgspec.DecodeError) as error:
        log.warning("%s is damaged (%s): it is made again", entry, error)
        return None
    expected = ((rows.count, *rows.shape), rows.dtype, rows.count)
    if (samples.shape, samples.dtype, len(meta.rows)) != expected:
        log.warning("%s holds other samples than expected: it is made again", entry)
        return None
    step = max(1, -(-rows.count * rows.row_bytes // _VERIFIED_BYTES))
    for row in {*range(0, rows.count, step), rows.count - 1}:
        if _hash(samples[row]) != meta.rows[row]:
            log.warning("%s is damaged in row %d: it is made again", entry, row)
            return None
    return _digest(rows, meta.rows)


def make_samples(
    entry: Path,
    rows: Rows,
    read: Callable[[int], NDArray[np.generic]],
    jobs: int,
    progress: Progress | None = None,
) -> str:
    """Make the folder `entry` with the samples that `read` gives for 0 to count - 1.

    Args:
        entry: replaced in one step, when everything is there.
        rows: what `read` gives.
        read: called in threads; Pillow and NumPy leave Python's lock free in their long calls.
        jobs: threads.
        progress: called with (done, all) in samples.

    Returns:
        The digest of the samples.

    Raises:
        DataError: `read` refused samples, or the disk is full; nothing is left.
    """
    with temporary_folder(entry.parent) as folder:
        path = folder / SAMPLES
        _allocate(path, rows)
        samples = np.load(path, mmap_mode="r+")
        hashes = _fill(samples, read, jobs, progress)
        samples.flush()
        (folder / _META).write_bytes(msgspec.json.encode(_Meta(hashes)))
        made = folder / "entry"
        made.mkdir()
        for name in (SAMPLES, _META):
            (folder / name).rename(made / name)
        replace_folder(made, entry)
    return _digest(rows, hashes)


def _fill(
    samples: NDArray[np.generic],
    read: Callable[[int], NDArray[np.generic]],
    jobs: int,
    progress: Progress | None,
) -> list[str]:
    """Fill all rows and return their hashes."""

    def fill(row: int) -> tuple[int, str]:
        samples[row] = read(row)
        return row, _hash(samples[row])

    hashes = [""] * len(samples)
    errors: list[DataError] = []
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="preprocess")
    try:
        futures = [pool.submit(fill, row) for row in range(len(samples))]
        for done, future in enumerate(as_completed(futures), start=1):
            try:
                row, hashes[row] = future.result()
            except DataError as error:
                errors.append(error)
            if progress:
                progress(done, len(samples))
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


def _allocate(path: Path, rows: Rows) -> None:
    """Write an .npy file of zeros with its disk space: writing a map to a full disk kills."""
    header = {
        "descr": np.lib.format.dtype_to_descr(rows.dtype),
        "fortran_order": False,
        "shape": (rows.count, *rows.shape),
    }
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            size = file.tell() + rows.count * rows.row_bytes
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise DataError(
            f"{path.parent}: no space for {rows.count * rows.row_bytes} bytes of samples: "
            f"{error.strerror}. Free some space, or set {CACHE_VARIABLE} to a folder with more."
        ) from error


def _hash(row: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(row).data).hexdigest()[:32]


def _digest(rows: Rows, hashes: list[str]) -> str:
    return hashlib.sha256(
        repr((rows.shape, rows.dtype.str, rows.count, hashes)).encode()
    ).hexdigest()
