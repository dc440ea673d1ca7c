"""The kinds of data sets, one file a kind, and what each gives: a list of samples.

Opens no image; `data.preprocess` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data.dataset_schema import (
    ArraysData,
    BuiltinData,
    CocoData,
    FolderData,
    ImagenetData,
    SyntheticData,
)
from data.datasets.arrays import holds_arrays, list_arrays, unlisted
from data.datasets.builtin import list_builtin
from data.datasets.coco import list_coco
from data.datasets.folder import list_folder
from data.datasets.imagenet import list_imagenet
from data.tasks import label_reader
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from data.benchmark import Benchmark
    from data.datasets.arrays import ArrayListing
    from data.datasets.listing import Listing, ReadLabel

LABELS_NAME = "labels.csv"  # the file that `--data DIR` finds by itself


def reads_arrays(benchmark: Benchmark, data_dir: Path | None) -> bool:
    """Return whether a benchmark's samples, or those of `data_dir` instead, are arrays."""
    if isinstance(benchmark.dataset, ArraysData):
        return True
    if data_dir is None or not isinstance(benchmark.dataset, BuiltinData | SyntheticData):
        return False
    return len(benchmark.inputs) > 1 or holds_arrays(data_dir)


def list_array_samples(benchmark: Benchmark, data_dir: Path | None) -> ArrayListing:
    """Return the arrays of a benchmark, or those of `data_dir` instead.

    Raises:
        ConfigError: neither the benchmark nor `data_dir` names any.
        DataError: they are damaged, incomplete, or not what the model is fed.
    """
    options, read_label = benchmark.dataset, label_reader(benchmark.accuracy.metric)
    own = options.path if isinstance(options, ArraysData) else None
    path = _folder(benchmark, own, data_dir)
    chosen = options if isinstance(options, ArraysData) else unlisted(path)
    return list_arrays(chosen, path, benchmark.inputs, read_label)


def list_samples(benchmark: Benchmark, data_dir: Path | None) -> Listing:
    """Return the images of a benchmark whose samples are not synthetic, or those of `data_dir`.

    `data_dir` replaces the benchmark's own folder. If the benchmark's own samples are built in or
    synthetic, the files in `data_dir` decide how to read it: a val_map.txt, COCO's annotations, a
    labels.csv, or only images.

    Raises:
        ConfigError: neither the benchmark nor `data_dir` names a folder of images.
        DataError: the images or labels are damaged or incomplete.
    """
    options = benchmark.dataset
    read_label = label_reader(benchmark.accuracy.metric)
    if isinstance(options, ImagenetData):
        return list_imagenet(options, _folder(benchmark, options.folder, data_dir), read_label)
    if isinstance(options, CocoData):
        return list_coco(options, _folder(benchmark, options.folder, data_dir))
    if isinstance(options, FolderData):
        return list_folder(options, _folder(benchmark, options.folder, data_dir), read_label)
    if isinstance(options, BuiltinData) and data_dir is None:
        return list_builtin(options, read_label)
    return _list_unknown(_folder(benchmark, None, data_dir), read_label)


def _folder(benchmark: Benchmark, own: str | None, data_dir: Path | None) -> Path:
    if data_dir is not None:
        return data_dir
    if own is None:
        key = "path" if isinstance(benchmark.dataset, ArraysData) else "folder"
        raise ConfigError(
            f"benchmark {benchmark.name}: no folder of data; expected --data DIR, or "
            f"dataset.{key} in {benchmark.file}."
        )
    return benchmark.file.parent / own


def _list_unknown(folder: Path, read_label: ReadLabel) -> Listing:
    imagenet = ImagenetData()
    if (folder / imagenet.val_map).is_file():
        return list_imagenet(imagenet, folder, read_label)
    if (folder / CocoData().annotations).is_file():
        return list_coco(CocoData(), folder)
    labels = LABELS_NAME if (folder / LABELS_NAME).is_file() else None
    return list_folder(FolderData(labels=labels), folder, read_label)
