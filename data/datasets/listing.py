"""The listing of a data set: files in the order of LoadGen's indices, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data.tasks.base import Label

    # (text, number of classes or None, where it stands) to the label.
    ReadLabel = Callable[[str, int | None, str], Label]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_NAMED = 3  # missing files to name in a message


@dataclass(frozen=True, slots=True)
class Listing:
    """The samples of a data set; sample i is files[i].

    Attributes:
        folder: where the files lie.
        names: of the files, from that folder.
        labels: the right answer to each sample, as the benchmark's task reads it; None: unknown.
        description: what it is, for a report.
    """

    folder: Path
    names: tuple[str, ...]
    labels: tuple[Label, ...] | None
    description: str


def check_folder(folder: Path) -> None:
    """Raise DataError unless `folder` is a folder that can be listed."""
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "no such folder"
        raise DataError(f"{folder}: {what}; expected a folder of images.")


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files in `folder`, sorted; folders in it are not entered.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    check_folder(folder)
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not names:
        raise DataError(
            f"{folder}: no images in it; expected files ending in one of "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return names


def check_present(folder: Path, names: tuple[str, ...], where: Path) -> None:
    """Raise DataError naming the first of `names` that are not files in `folder`."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} of {len(names)} images are not in {folder}: "
            f"{', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}; "
            "expected all of them, because the index of a sample is its place in the list."
        )
