"""When the requests of an open loop are due: at random, at equal distances, or as recorded.

Each yields blocks of ascending times in ns from the start, [n] int64. Pure but for the file.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Blocks = Iterator[NDArray[np.int64]]

NS_PER_S = 1e9
_BLOCK = 4_096
# Of the batches.npz of a run: when its queries arrived.
_ARRIVALS = "query_arrival_ns"
_SHOWN = 40  # characters of a line that is no number


def poisson(qps: float, seed: int) -> Blocks:
    """Yield times whose distances are exponential, with a mean of 1/qps, without end."""
    generator = np.random.default_rng(seed)
    last = 0.0
    while True:
        times = last + np.cumsum(generator.exponential(NS_PER_S / qps, _BLOCK))
        last = float(times[-1])
        yield times.astype(np.int64)


def constant(qps: float, count: int = 0) -> Blocks:
    """Yield times at a distance of 1/qps: so many, or for 0 without end."""
    first = 0
    while not count or first < count:
        size = min(_BLOCK, count - first) if count else _BLOCK
        yield ((first + np.arange(size)) * (NS_PER_S / qps)).astype(np.int64)
        first += size


def replay(path: Path, speed: float = 1.0) -> Blocks:
    """Yield recorded times once, the first as 0.

    Args:
        path: of a text file, one time a line in s, or the batches.npz of a run.
        speed: by which all distances are divided.

    Raises:
        DataError: see `recorded_s`.
    """
    times_ns = (recorded_s(path) * (NS_PER_S / speed)).astype(np.int64)
    for start in range(0, len(times_ns), _BLOCK):
        yield times_ns[start : start + _BLOCK]


def recorded_s(path: Path) -> NDArray[np.float64]:
    """Return recorded arrival times in s, ascending, the first as 0.

    Raises:
        DataError: the file cannot be read, has no times, or they do not ascend.
    """
    try:
        times = _of_run(path) if path.suffix == ".npz" else _of_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; expected arrival times.") from error
    if not len(times):
        raise DataError(f"{path}: no arrival times; expected one or more, in s, one a line.")
    falls = np.flatnonzero(np.diff(times) < 0)
    if len(falls):
        k = int(falls[0])
        raise DataError(
            f"{path}: arrival {k + 2} at {times[k + 1]:g} s comes before the one above it at "
            f"{times[k]:g} s; expected ascending times."
        )
    return np.asarray(times - times[0])


def _of_run(path: Path) -> NDArray[np.float64]:
    try:
        with np.load(path) as arrays:
            arrived = arrays[_ARRIVALS]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: {error}; expected the batches.npz of a run, with {_ARRIVALS}."
        ) from error
    return np.asarray((arrived - arrived[:1]) / NS_PER_S)


def _of_text(path: Path) -> NDArray[np.float64]:
    times = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            time_s = float(text)
        except ValueError:
            time_s = np.nan
        if not np.isfinite(time_s):
            raise DataError(
                f'{path}:{number}: "{text[:_SHOWN]}"; expected an arrival time in s, one a line.'
            )
        times.append(time_s)
    return np.array(times)
