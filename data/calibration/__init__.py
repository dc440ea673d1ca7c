"""Which samples may calibrate a model: MLPerf's fixed lists, or the data set's own samples.

MLPerf allows the closed division one of two lists of 500 images of ImageNet's validation set
(mlcommons/inference, calibration/ImageNet/cal_image_list_option_1.txt and _2.txt), a name a line.
They are not part of this program: put them into the data set's folder. Runs no model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from data.dataset_schema import ImagenetData
from data.datasets import list_samples
from data.preprocess import MAKERS, encoded_steps
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from data.benchmark import Benchmark
    from data.preprocess import SampleSet

# The name of each list, and its file.
LISTS: Mapping[str, str] = {
    "mlperf-1": "cal_image_list_option_1.txt",
    "mlperf-2": "cal_image_list_option_2.txt",
}
SAMPLES = "samples"
SOURCES = (SAMPLES, *LISTS)

_MOST = 500  # samples, as many as MLPerf's lists have


@dataclass(frozen=True, slots=True)
class CalibrationSamples:
    """Samples that are read one by one.

    Attributes:
        count: samples.
        read: from 0 to count - 1 to the sample, [*input shape] by the input's name.
        description: which they are, for people.
        digest: SHA-256 of everything that determines their content.
    """

    count: int
    read: Callable[[int], Mapping[str, NDArray[np.generic]]]
    description: str
    digest: str


def default_source(benchmark: Benchmark) -> str:
    """Return MLPerf's first list for ImageNet, else the data set's own samples."""
    return "mlperf-1" if isinstance(benchmark.dataset, ImagenetData) else SAMPLES


def of_data_set(samples: SampleSet) -> CalibrationSamples:
    """Return all of the benchmark's prepared samples, or evenly spread ones of a large set."""
    rows = np.unique(np.linspace(0, samples.count - 1, min(samples.count, _MOST)).astype(int))
    held = samples.open()
    return CalibrationSamples(
        count=len(rows),
        read=lambda index: {name: array[rows[index]] for name, array in held.items()},
        description=f"{len(rows)} of {samples.description}",
        digest=hashlib.sha256(f"{samples.digest} {len(rows)}".encode()).hexdigest(),
    )


def of_list(benchmark: Benchmark, data_dir: Path | None, source: str) -> CalibrationSamples:
    """Return the images of a list, read and preprocessed one by one.

    Args:
        benchmark: says how an image becomes a sample.
        data_dir: a folder of data instead of the benchmark's own.
        source: one of LISTS.

    Raises:
        DataError: the list is not in the data set's folder, or one of its images is not.
    """
    from data.images import read_sample  # noqa: PLC0415 - Pillow takes a while

    listing = list_samples(benchmark, data_dir)
    by_name = {PurePosixPath(name).name: name for name in listing.names}
    wanted = list_names(listing.folder, source)
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise DataError(
            f"calibration list {source}: {len(missing)} of its {len(wanted)} images are not in "
            f"{listing.folder}, such as {missing[0]}. Name ImageNet's validation set with --data, "
            f"or use --calibration {SAMPLES}."
        )
    names = [by_name[name] for name in wanted]
    steps = msgspec.json.encode(MAKERS) + encoded_steps(benchmark)
    tensor = benchmark.inputs[0]  # an image is the only one
    dtype = np.dtype(tensor.dtype)

    def read(index: int) -> dict[str, NDArray[np.generic]]:
        path = listing.folder / names[index]
        return {tensor.name: read_sample(path, benchmark.preprocess, tensor.layout, dtype)}

    return CalibrationSamples(
        count=len(names),
        read=read,
        description=f"MLPerf's list {LISTS[source]} of {len(names)} images",
        digest=_digest_of([listing.folder / name for name in names], steps),
    )


def _digest_of(images: Sequence[Path], steps: bytes) -> str:
    """Return the SHA-256 of the steps and of the content of all images."""
    content = hashlib.sha256(steps)
    for path in images:
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()


def list_names(folder: Path, source: str) -> list[str]:
    """Return the file names of one of LISTS, which lies in the data set's folder.

    Raises:
        DataError: it does not, or it is empty.
    """
    path = folder / LISTS[source]
    try:
        names = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"calibration list {source}: {path} cannot be read. Copy it there from "
            f"mlcommons/inference, calibration/ImageNet, or use --calibration {SAMPLES}."
        ) from error
    if not names:
        raise DataError(f"calibration list {source}: {path} is empty; expected a file name a line.")
    return names
