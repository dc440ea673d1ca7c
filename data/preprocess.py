"""Make a benchmark's samples once, as memory-mapped .npy files that every worker shares.

There is a file for each input of the model. A cache entry is found by the steps, by the names,
sizes, times and inodes of the files that it is made of, and by the content of some of them: to read
all of ImageNet's 50,000 files takes minutes, to ask for their sizes a second. What the entry holds
is named by a hash of the samples themselves (`SampleSet.digest`), which is the same on every
machine that made the same samples.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from data.content import digest_of_some
from data.dataset_schema import SyntheticData
from data.datasets import list_array_samples, list_samples, reads_arrays
from data.frames import frame_file
from data.sample_file import Part, Rows, find_samples, make_samples
from data.series import series_of
from sut.base.environment import cores
from sut.base.errors import ConfigError, DataError
from sut.base.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from data.benchmark import Benchmark
    from data.datasets.listing import Listing
    from data.tasks.base import FrameFile, Label
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
        paths: the .npy file of each input, [count, *shape], C-contiguous.
        inputs: their names, in the order of the benchmark.
        count: samples.
        names: of the image files; empty for others.
        labels: the right answer to each, as the benchmark's task reads it; None: unknown.
        digest: SHA-256 of shapes, dtypes, samples and labels.
        synthetic: no real data, so that no answer means anything.
        description: what it is, for a report.
        frames: where the samples lie in their images; None: the postprocess needs not know.
        folder: of the image files; None: the samples are made of none.
    """

    paths: tuple[Path, ...]
    inputs: tuple[str, ...]
    count: int
    names: tuple[str, ...]
    labels: tuple[Label, ...] | None
    digest: str
    synthetic: bool
    description: str
    frames: FrameFile | None = None
    folder: Path | None = None

    def open(self) -> dict[str, NDArray[np.generic]]:
        """Map the samples read-only, [count, *shape] by input. Processes share the memory."""
        samples = [np.load(path, mmap_mode="r") for path in self.paths]
        return dict(zip(self.inputs, samples, strict=True))


@dataclass(frozen=True, slots=True)
class _Source:
    """Samples that can be made.

    Attributes:
        key: the name of their cache entry.
        count: samples.
        read: gives the parts of a sample.
        description: what they are.
        names: see SampleSet.
        labels: see SampleSet.
        synthetic: see SampleSet.
        images: None: the samples are made of none.
    """

    key: str
    count: int
    read: Callable[[int], Sequence[NDArray[np.generic]]]
    description: str
    names: tuple[str, ...] = ()
    labels: tuple[Label, ...] | None = None
    synthetic: bool = False
    images: Listing | None = None


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
        data_dir: data instead of the benchmark's own: a folder, or an .npz file.
        cache_dir: None: sut.base.files.cache_folder.
        jobs: threads; None: one a CPU that this process may use.
        progress: called with (done, all) in samples, if samples must be made.

    Raises:
        ConfigError: no folder of data is named, or the steps do not end in the input's shape.
        DataError: data is missing or damaged, with the file's name; nothing is left of it.
    """
    parts = tuple(Part(tensor.shape, np.dtype(tensor.dtype)) for tensor in benchmark.inputs)
    if isinstance(benchmark.dataset, SyntheticData) and data_dir is None:
        source = _synthetic(benchmark, benchmark.dataset, parts)
    elif reads_arrays(benchmark, data_dir):
        source = _arrays(benchmark, data_dir)
    else:
        source = _images(benchmark, data_dir, parts[0].dtype)
    rows = Rows(source.count, parts)
    cache = cache_dir or cache_folder()
    entry = cache / "samples" / source.key
    digest = find_samples(entry, rows)
    if digest is None:
        digest = make_samples(entry, rows, source.read, jobs or cores(), progress)
    description = source.description
    if benchmark.inputs[0].normalize is not None:
        description += ", as uint8 pixels"
    if not source.synthetic:
        digest = hashlib.sha256(f"{digest} {source.labels}".encode()).hexdigest()
    return SampleSet(
        paths=rows.files(entry),
        inputs=tuple(tensor.name for tensor in benchmark.inputs),
        count=rows.count,
        names=source.names,
        labels=source.labels,
        digest=digest,
        synthetic=source.synthetic,
        description=description,
        frames=frame_file(benchmark, source.images, cache / "frames"),
        folder=None if source.images is None else source.images.folder,
    )


def _images(benchmark: Benchmark, data_dir: Path | None, dtype: np.dtype[np.generic]) -> _Source:
    listing = list_samples(benchmark, data_dir)
    layout = benchmark.inputs[0].layout

    def read(row: int) -> tuple[NDArray[np.generic]]:
        # Import Pillow only here: a start from the cache does not need it.
        from data.images import read_sample  # noqa: PLC0415

        path = listing.folder / listing.names[row]
        sample = read_sample(path, benchmark.preprocess, layout, dtype)
        _check_shape(sample, benchmark, path)
        return (sample,)

    files = [listing.folder / name for name in listing.names]
    return _Source(
        key=_key(benchmark, listing.folder, dict(zip(listing.names, files, strict=True))),
        count=len(listing.names),
        read=read,
        description=listing.description,
        names=listing.names,
        labels=listing.labels,
        images=listing,
    )


def _arrays(benchmark: Benchmark, data_dir: Path | None) -> _Source:
    listing = list_array_samples(benchmark, data_dir)
    files = {file.name: file for file in listing.files}
    return _Source(
        key=_key(benchmark, listing.files[0].parent, files),
        count=len(listing.arrays[0]),
        read=lambda row: [array[row] for array in listing.arrays],
        description=listing.description,
        labels=listing.labels,
    )


def _synthetic(benchmark: Benchmark, options: SyntheticData, parts: Sequence[Part]) -> _Source:
    below = [options.below.get(tensor.name) for tensor in benchmark.inputs]
    limits = "".join(f"-{limit}" for limit in below if limit)
    kinds = "-".join(
        f"{part.dtype.name}-{'x'.join(map(str, (options.count, *part.shape)))}" for part in parts
    )

    def read(row: int) -> list[NDArray[np.generic]]:
        generator = np.random.default_rng((options.seed, row))
        pairs = zip(parts, below, strict=True)
        return [_random(generator, part, limit) for part, limit in pairs]

    def read_series(row: int) -> list[NDArray[np.generic]]:
        found = series.sample(row)
        pairs = zip(benchmark.inputs, parts, strict=True)
        return [found[tensor.name].astype(part.dtype) for tensor, part in pairs]

    like = f", like {options.like}" if options.like else ""
    if options.like:
        shapes = {tensor.name: tensor.shape for tensor in benchmark.inputs}
        series = series_of(options, shapes)
    return _Source(
        key=f"synthetic-{VERSION}-{options.seed}-{kinds}{limits}{like.replace(', like ', '-')}",
        count=options.count,
        read=read_series if options.like else read,
        description=f"{options.count} synthetic samples of seed {options.seed}{like}",
        synthetic=True,
    )


def _random(generator: np.random.Generator, part: Part, below: int | None) -> NDArray[np.generic]:
    """Return floats from 0 to 1, true or false, small integers, or bytes of any value."""
    if part.dtype.kind == "f":
        return generator.random(part.shape, np.float32).astype(part.dtype)
    if part.dtype.kind == "b":
        return generator.integers(0, 2, part.shape).astype(part.dtype)
    if below or part.dtype.itemsize > 1:
        return generator.integers(0, below or _SYNTHETIC_INDICES, part.shape, part.dtype)
    return np.frombuffer(generator.bytes(part.bytes), part.dtype).reshape(part.shape)


def _check_shape(sample: NDArray[np.generic], benchmark: Benchmark, path: Path) -> None:
    shape, layout = benchmark.inputs[0].shape, benchmark.inputs[0].layout
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


def encoded_steps(benchmark: Benchmark) -> bytes:
    """Return what decides what becomes of images; what the model does to its input does not."""
    tensors = [msgspec.to_builtins(tensor) for tensor in benchmark.inputs]
    for tensor in tensors:
        del tensor["normalize"]
    fed = tensors if isinstance(benchmark.input, tuple) else tensors[0]
    return msgspec.json.encode((benchmark.preprocess, fed))


def _key(benchmark: Benchmark, folder: Path, files: Mapping[str, Path]) -> str:
    """Return the name of the cache entry for these files and steps, as this code makes it.

    Args:
        benchmark: says which steps.
        folder: of the files.
        files: by their names from there.

    Raises:
        DataError: a file cannot be read.
    """
    content = hashlib.sha256()
    for part in (*MAKERS, str(folder.resolve())):
        content.update(os.fsencode(part) + b"\0")
    content.update(encoded_steps(benchmark))
    sizes = []
    for name, file in files.items():
        try:
            status = file.stat()
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}; expected a sample.") from error
        # A copy may keep size and time, but not the inode and the time of its last change.
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        content.update(os.fsencode(f"{name}\0{facts}\0"))
        sizes.append(status.st_size)
    content.update(digest_of_some(list(files.values()), sum(sizes)))
    return f"{benchmark.name}-{content.hexdigest()[:16]}"
