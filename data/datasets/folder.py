"""A folder of the user's own images, with or without a CSV file of labels."""

from __future__ import annotations

import csv
from posixpath import dirname
from typing import TYPE_CHECKING

from data.datasets.listing import (
    Images,
    Listing,
    check_present,
    find_images,
    is_file,
    plain_name,
    unicode_forms,
)
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data.dataset_schema import FolderData
    from data.datasets.listing import ReadLabel
    from data.tasks.base import Label

_COLUMNS = 2


def list_folder(options: FolderData, folder: Path, read_label: ReadLabel) -> Listing:
    """Return the images of `folder`: in the order of the labels' file, else sorted by name.

    Raises:
        DataError: no such folder, no images, or a labels' file that does not fit them.
    """
    found = find_images(folder, frozenset({options.labels or ""}))
    names = found.names
    if options.labels is None:
        what = f"{len(names)} images of {folder}, no labels{found.left_out()}"
        return Listing(folder, names, None, what)
    path = folder / options.labels

    def read(text: str, where: str) -> Label:
        return read_label(text, options.classes, where)

    samples = _read_labels(path, found, folder, read)
    check_present(folder, tuple(samples), path)
    without = [name for name in names if name not in samples]
    # Folders that the labels do not mention are no part of the data set.
    mentioned = set(map(dirname, samples))
    unlabelled = [name for name in without if dirname(name) in mentioned]
    if unlabelled:
        raise DataError(
            f"{path}: {len(unlabelled)} images have no label, the first is {unlabelled[0]}; "
            "expected a line `file,label` for each image of the folder."
        )
    labels = tuple(samples.values())
    others = len(without)
    beside = f", {others} more in folders without labels" if others else ""
    what = f"{len(samples)} images of {folder}{beside}{found.left_out()}"
    return Listing(folder, tuple(samples), labels, what)


def _read_labels(
    path: Path, found: Images, folder: Path, read: Callable[[str, str], Label]
) -> dict[str, Label]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            read_rows = csv.reader(file, skipinitialspace=True)
            rows = [(number, row) for number, row in enumerate(read_rows, start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; expected lines `file,label`.") from error
    if rows and _is_header(rows[0][1], folder):
        del rows[0]
    samples: dict[str, Label] = {}
    forms = unicode_forms(found.names)
    for number, row in rows:
        where = f"{path}:{number}"
        if not all(map(_is_of_one_line, row)):
            raise DataError(f"{where}: a text goes over several lines; close its quotes.")
        if len(row) != _COLUMNS:
            raise DataError(f"{where}: {len(row)} columns; expected 2, `file,label`.")
        name, label = plain_name(row[0].strip(), folder, forms), row[1].strip()
        if name in samples:
            raise DataError(f"{where}: {name} is repeated; expected each image once.")
        samples[name] = read(label, where)
    if not samples:
        raise DataError(f"{path}: holds no labels; expected lines `file,label`.")
    return samples


def _is_of_one_line(text: str) -> bool:
    return "\n" not in text and "\r" not in text


def _is_header(row: list[str], folder: Path) -> bool:
    """Return whether a line is a header: no such image, and its label is not a number."""
    if len(row) != _COLUMNS:
        return False
    return not row[1].strip().isdigit() and not is_file(folder / row[0].strip())
