"""ImageNet's validation set as MLPerf reads it: val_map.txt gives order and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.datasets.listing import Listing, check_folder, check_present, plain_name
from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from data.dataset_schema import ImagenetData
    from data.datasets.listing import ReadLabel
    from data.tasks.base import Label

_COLUMNS = 2


def list_imagenet(options: ImagenetData, folder: Path, read_label: ReadLabel) -> Listing:
    """Return the images that the map names; sample i is its line i.

    A missing image is an error: leaving it out would shift the index of every later one, and
    accuracy-imagenet.py would compare answers with the labels of other images.

    Raises:
        DataError: no map, a broken line, a repeated name, or a missing image.
    """
    check_folder(folder)
    path = folder / options.val_map
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read; expected lines such as "
            '"ILSVRC2012_val_00000001.JPEG 65" beside the images.'
        ) from error
    samples: dict[str, Label] = {}
    for number, line in enumerate(lines, start=1):
        where, columns = f"{path}:{number}", line.split()
        if not columns:
            continue
        if len(columns) != _COLUMNS:
            raise DataError(f'{where}: "{line}"; expected a file name and a label.')
        name = plain_name(columns[0], folder, {})
        if name in samples:
            raise DataError(f"{where}: {name} is repeated; expected each image once.")
        samples[name] = read_label(columns[1], options.classes, where)
    if not samples:
        raise DataError(f"{path}: the file is empty; expected a line for each image.")
    names = tuple(samples)
    check_present(folder, names, path)
    return Listing(folder, names, tuple(samples.values()), f"{len(names)} images of {path}")
