"""NumPy arrays, one for each input of the model: samples that are no images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.dataset_schema import ArraysData
from data.yaml_wording import one_line
from sut.base.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from data.datasets.listing import ReadLabel
    from data.schema import InputTensor
    from data.tasks.base import Label

    Array = NDArray[np.generic]

ARCHIVE, ARRAY = ".npz", ".npy"
LABELS = "labels"  # the array that `--data` finds by itself


@dataclass(frozen=True, slots=True)
class ArrayListing:
    """The samples of a data set of arrays; sample i is row i of each.

    Attributes:
        files: where they come from.
        arrays: of each input, [count, *shape].
        labels: the right answer to each sample, as the benchmark's task reads it; None: unknown.
        description: what it is, for a report.
    """

    files: tuple[Path, ...]
    arrays: tuple[Array, ...]
    labels: tuple[Label, ...] | None
    description: str


def holds_arrays(path: Path) -> bool:
    """Return whether a path that a user names is a data set of arrays."""
    return path.suffix in (ARCHIVE, ARRAY) or any(path.glob(f"*{ARRAY}"))


def unlisted(path: Path) -> ArraysData:
    """Return how to read arrays that no benchmark describes: with labels, if there are any."""
    beside = path / f"{LABELS}{ARRAY}"
    has_labels = beside.is_file() or (path.suffix == ARCHIVE and LABELS in _open(path, ()))
    return ArraysData(labels=LABELS if has_labels else None)


def list_arrays(
    options: ArraysData, path: Path, inputs: Sequence[InputTensor], read_label: ReadLabel
) -> ArrayListing:
    """Return the arrays at `path`, after checking that they are what the model is fed.

    Raises:
        DataError: there are none, one is missing, or has another shape, dtype or number of samples.
    """
    held = _open(path, inputs)
    names = [tensor.name for tensor in inputs]
    arrays = tuple(_fitting(held, tensor, path) for tensor in inputs)
    for name, array in zip(names, arrays, strict=True):
        _check_count(name, len(array), names[0], len(arrays[0]), path)
    labels = None
    if options.labels is not None:
        found = _labels(held, options.labels, path)
        _check_count(options.labels, len(found), names[0], len(arrays[0]), path)
        where = f'{path}, array "{options.labels}"'
        labels = tuple(read_label(str(label), options.classes, where) for label in found)
    left = [name for name in held if name not in names and name != options.labels]
    files = tuple(sorted(path.glob(f"*{ARRAY}"))) if path.is_dir() else (path,)
    what = f"{len(arrays[0])} samples of {path}"
    left_out = f" (left out: {one_line(', '.join(left))})" if left else ""
    return ArrayListing(files, arrays, labels, f"{what}{left_out}")


def _open(path: Path, inputs: Sequence[InputTensor]) -> Mapping[str, Array]:
    """Return the arrays at a path by name; those in files of their own are mapped, not read."""
    try:
        if path.is_dir():
            files = sorted(path.glob(f"*{ARRAY}"))
            return {file.stem: np.load(file, mmap_mode="r") for file in files}
        if path.suffix == ARRAY and len(inputs) == 1:
            return {inputs[0].name: np.load(path, mmap_mode="r")}
        if path.suffix == ARCHIVE:
            with path.open("rb") as file, np.load(file) as archive:
                return dict(archive)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected arrays in it.") from error
    except Exception as error:  # those of NumPy, zipfile, zlib and tokenize share no other base
        reason = one_line(" ".join(str(error).split()).rstrip(".")) or type(error).__name__
        raise DataError(
            f"{path}: cannot be read: {reason}; expected what numpy.save or numpy.savez writes, "
            "without Python objects."
        ) from error
    what = "is no data set of arrays" if path.exists() else "no such file"
    raise DataError(
        f"{path}: {what}; expected a {ARCHIVE} file, or a folder with a {ARRAY} file for each "
        "input."
    )


def _fitting(held: Mapping[str, Array], tensor: InputTensor, path: Path) -> Array:
    wanted = f"[{', '.join(['N', *map(str, tensor.shape)])}] {tensor.dtype}"
    array = held.get(tensor.name)
    if array is None:
        known = one_line(", ".join(held)) or "none"
        raise DataError(
            f'{path}: no array for input "{tensor.name}"; expected "{tensor.name}", {wanted}. Its '
            f"arrays are {known}.{nearest(tensor.name, held)}"
        )
    if array.shape[1:] != tensor.shape or not array.shape[:1] > (0,) or array.dtype != tensor.dtype:
        raise DataError(
            f'{path}: array "{tensor.name}" is {list(array.shape)} {array.dtype}; expected '
            f"{wanted}, with N of 1 or more. Save it so, or change the input of the benchmark."
        )
    return array


def _labels(held: Mapping[str, Array], name: str, path: Path) -> Array:
    array = held.get(name)
    if array is None:
        raise DataError(
            f'{path}: no array "{name}"; expected the labels, [N] whole numbers.'
            f"{nearest(name, held)}"
        )
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f'{path}: array "{name}" is {list(array.shape)} {array.dtype}; expected labels, [N] '
            "whole numbers."
        )
    return array


def _check_count(name: str, count: int, first: str, expected: int, path: Path) -> None:
    if count != expected:
        raise DataError(
            f'{path}: array "{name}" has {count} rows, but "{first}" has {expected}; expected one '
            "of each for every sample."
        )
