"""Make a benchmark's samples once, as one memory-mapped .npy file that every worker shares.

A cache entry is found by the steps, by the names, sizes, times and inodes of the images, and by the
content of some of them: to read all of ImageNet's 50,000 files takes minutes, to ask for their
sizes a second. What the entry holds is named by a hash of the samples themselves
(`SampleSet.digest`), which is the same on every machine that made the same samples.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from data.content import digest_of_some
from data.datasets import list_samples
from data.sample_file import SAMPLES, Rows, find_samples, make_samples
from data.schema import SyntheticData
from sut.base.environment import cores
from sut.base.errors import ConfigError, DataError
from sut.base.files import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from data.benchmark import Benchmark
    from data.datasets.listing import Listing
    from data.tasks.base import Label
    from sut.base.progress import Progress

VERSION = "2"  # raise it when the same images and steps give other samples
# What makes samples of images; another version may make others.
MAKERS = (VERSION, metadata.version("pillow"), np.__version__)

_COLOURS = 3  # channels of a decoded image
_SYNTHETIC_INDICES = 128  # int32 and int64 are indices into some table; few tables are shorter


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples that are ready for the engine.

    Attributes:
        path: the .npy file, [count, *shape], C-contiguous.
        count: samples.
        shape: of one sample.
        dtype: NumPy's name of it.
        names: of the image files; empty for synthetic samples.
        labels: the right answer to each, as the benchmark's task reads it; None: unknown.
        digest: SHA-256 of shape, dtype, samples and labels.
        synthetic: no real data, so that no answer means anything.
        description: what it is, for a report.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...]
    labels: tuple[Label, ...] | None
    digest: str
    synthetic: bool
    description: str

    def open(self) -> NDArray[np.generic]:
        """Map the samples read-only, [count, *shape]. Processes share the memory."""
        samples: NDArray[np.generic] = np.load(self.path, mmap_mode="r")
        return samples


def prepare(
    benchmark: Benchmark,
    data_dir: Path | None,
    *,
    cache_dir: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> SampleSet:
    """Return the benchmark's samples, made now or from the cache.

    Args:
        benchmark: says which images and steps.
        data_dir: a folder of data instead of the benchmark's own.
        cache_dir: None: sut.base.files.cache_folder.
        jobs: threads; None: one a CPU that this process may use.
        progress: called with (done, all) in samples, if samples must be made.

    Raises:
        ConfigError: no folder of data is named, or the steps do not end in the input's shape.
        DataError: data is missing or damaged, with the file's name; nothing is left of it.
    """
    folder = (cache_dir or cache_folder()) / "samples"
    if isinstance(benchmark.dataset, SyntheticData) and data_dir is None:
        return _prepare_synthetic(benchmark, benchmark.dataset, folder, jobs or cores(), progress)
    listing = list_samples(benchmark, data_dir)
    rows = _rows(benchmark, len(listing.names))
    entry = folder / _key(benchmark, listing)
    digest = find_samples(entry, rows)
    if digest is None:
        # Import Pillow only here: a start from the cache does not need it.
        from data.images import read_sample  # noqa: PLC0415

        def read(row: int) -> NDArray[np.generic]:
            path = listing.folder / listing.names[row]
            sample = read_sample(path, benchmark.preprocess, benchmark.input.layout, rows.dtype)
            _check_shape(sample, benchmark, path)
            return sample

        digest = make_samples(entry, rows, read, jobs or cores(), progress)
    return SampleSet(
        path=entry / SAMPLES,
        count=rows.count,
        shape=rows.shape,
        dtype=rows.dtype.name,
        names=listing.names,
        labels=listing.labels,
        digest=hashlib.sha256(f"{digest} {listing.labels}".encode()).hexdigest(),
        synthetic=False,
        description=listing.description,
    )


def _prepare_synthetic(
    benchmark: Benchmark,
    options: SyntheticData,
    folder: Path,
    jobs: int,
    progress: Progress | None,
) -> SampleSet:
    rows = _rows(benchmark, options.count)
    what = "x".join(map(str, (rows.count, *rows.shape)))
    entry = folder / f"synthetic-{VERSION}-{options.seed}-{rows.dtype.name}-{what}"
    digest = find_samples(entry, rows)
    if digest is None:
        read = partial(_random, rows, options.seed)
        digest = make_samples(entry, rows, read, jobs, progress)
    return SampleSet(
        path=entry / SAMPLES,
        count=rows.count,
        shape=rows.shape,
        dtype=rows.dtype.name,
        names=(),
        labels=None,
        digest=digest,
        synthetic=True,
        description=f"{rows.count} synthetic samples of seed {options.seed}",
    )


def _random(rows: Rows, seed: int, row: int) -> NDArray[np.generic]:
    """Return sample `row`: floats from 0 to 1, bytes of any value, or small indices."""
    generator = np.random.default_rng((seed, row))
    if rows.dtype.kind == "f":
        return generator.random(rows.shape, np.float32).astype(rows.dtype)
    if rows.dtype.itemsize > 1:
        return generator.integers(0, _SYNTHETIC_INDICES, rows.shape, rows.dtype)
    return np.frombuffer(generator.bytes(rows.row_bytes), rows.dtype).reshape(rows.shape)


def _rows(benchmark: Benchmark, count: int) -> Rows:
    return Rows(count, benchmark.input.shape, np.dtype(benchmark.input.dtype))


def _check_shape(sample: NDArray[np.generic], benchmark: Benchmark, path: Path) -> None:
    shape, layout = benchmark.input.shape, benchmark.input.layout
    if sample.shape == shape:
        return
    where = f"{benchmark.file}: preprocess makes {list(sample.shape)} of {path}; expected "
    one_channel = 1 in (shape[0], shape[-1])
    if one_channel and sorted(sample.shape) == sorted((_COLOURS, *sorted(shape)[1:])):
        named = "" if layout or shape[-1] == 1 else " And add `layout: NCHW` to the input."
        raise ConfigError(
            f"{where}one channel, as in input.shape {list(shape)}. Add the step "
            f"{{step: color, order: L}}.{named}"
        )
    raise ConfigError(
        f"{where}input.shape {list(shape)}. End the steps in a resize or center_crop of that size, "
        "and name the layout."
    )


def _key(benchmark: Benchmark, listing: Listing) -> str:
    """Return the name of the cache entry for these images and steps, as this code makes them."""
    content = hashlib.sha256()
    for part in (*MAKERS, str(listing.folder.resolve())):
        content.update(os.fsencode(part) + b"\0")
    content.update(msgspec.json.encode((benchmark.preprocess, benchmark.input)))
    sizes = []
    for name in listing.names:
        try:
            status = (listing.folder / name).stat()
        except OSError as error:
            raise DataError(
                f"{listing.folder / name}: {error.strerror}; expected an image."
            ) from error
        # A copy may keep size and time, but not the inode and the time of its last change.
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        content.update(os.fsencode(f"{name}\0{facts}\0"))
        sizes.append(status.st_size)
    content.update(digest_of_some([listing.folder / name for name in listing.names], sum(sizes)))
    return f"{benchmark.name}-{content.hexdigest()[:16]}"
