"""The listing of a data set: files in the order of LoadGen's indices, and their labels."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from data.tasks.base import Label

    # (text, number of classes or None, where it stands) to the label.
    ReadLabel = Callable[[str, int | None, str], Label]

IMAGE_SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
        *(".tif", ".tiff", ".webp"),
    }
)

_ADDED = {"__MACOSX", "@eaDir"}  # folders that systems add to those of the user
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


@dataclass(frozen=True, slots=True)
class Images:
    """What a walk through a folder and those below it found.

    Attributes:
        names: of the images, as paths from the folder with slashes, sorted.
        hidden: files whose name, or whose folder's name, begins with a dot, and what macOS adds to
            archives, and Synology's servers to folders.
        others: how many files have another suffix, by suffix in lower case.
    """

    names: tuple[str, ...]
    hidden: int
    others: Mapping[str, int]

    def left_out(self) -> str:
        """Say what was left out, to follow a description; empty if nothing was."""
        parts = [f"{self.hidden} hidden"] if self.hidden else []
        if self.others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in sorted(self.others.items())
            )
            parts.append(f"of other kinds: {kinds}")
        return f" (left out: {'; '.join(parts)})" if parts else ""


def find_images(folder: Path, beside: frozenset[str] = frozenset()) -> Images:
    """Find the images in `folder` and in the folders below it, such as one for each class.

    Links to folders are followed, each folder once.

    Args:
        folder: where to look.
        beside: names of files that are no images and are known, such as that of the labels.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    check_folder(folder)
    names: list[str] = []
    hidden, others = 0, Counter[str]()
    seen = {Path(at).resolve() for at, _, _ in os.walk(folder)}
    for at, folders, files in os.walk(folder, followlinks=True):
        here = Path(at)
        links = {name: (here / name).resolve() for name in folders if (here / name).is_symlink()}
        folders[:] = sorted(name for name in folders if links.get(name) not in seen)
        seen.update(links[name] for name in folders if name in links)
        below = here.relative_to(folder)
        is_hidden = any(map(_is_hidden, below.parts))
        for file in files:
            name, suffix = (below / file).as_posix(), Path(file).suffix.lower()
            if is_hidden or _is_hidden(file):
                hidden += 1
            elif suffix in IMAGE_SUFFIXES:
                names.append(name)
            elif name not in beside:
                others[suffix] += 1
    found = Images(tuple(sorted(names)), hidden, others)
    if not names:
        raise DataError(
            f"{folder}: no images in it{found.left_out()}; expected files ending in one of "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return found


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _ADDED


def plain_name(written: str, folder: Path, forms: Mapping[str, str]) -> str:
    r"""Return the name of an image as `find_images` gives it, for one that a person wrote.

    `./x.png`, `sub\x.png`, an absolute path into the folder, and another Unicode form of the same
    letters are the same file.

    Args:
        written: as it stands in a file of labels.
        folder: of the images.
        forms: see `unicode_forms`.
    """
    name = posixpath.normpath(written)
    if name.startswith("/"):
        name = posixpath.relpath(name, folder.absolute().as_posix())
    if "\\" in name and not is_file(folder / name):
        name = posixpath.normpath(name.replace("\\", "/"))
    if is_file(folder / name):
        return name
    return forms.get(unicodedata.normalize("NFC", name), name)


def unicode_forms(names: Iterable[str]) -> dict[str, str]:
    """Return names by their composed form: macOS decomposes the letters of file names."""
    return {unicodedata.normalize("NFC", name): name for name in names}


def is_file(path: Path) -> bool:
    """Return whether a file is there; no name that a person writes is an error."""
    try:
        return path.is_file()
    except OSError:  # no name of a file, such as one that is too long
        return False


def check_present(folder: Path, names: tuple[str, ...], where: Path) -> None:
    """Raise DataError naming the first of `names` that are not files in `folder`."""
    missing = [name for name in names if not is_file(folder / name)]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} of {len(names)} images are not in {folder}: "
            f"{', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}; "
            "expected all of them, because the index of a sample is its place in the list."
        )
