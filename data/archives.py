"""Some files out of an archive, known by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from tarfile import TarFile


def take_files(
    tar: TarFile, members: Sequence[str], sha256: str, folder: Path, where: str
) -> list[Path]:
    """Put files of an archive into `folder`, under their own names; return their paths.

    Args:
        tar: the archive.
        members: the files' names in it.
        sha256: of the files' contents one after the other, in the order of `members`.
        folder: where they go.
        where: the archive's name, for messages.

    Raises:
        DataError: a file is not in the archive, or the contents are others.
    """
    content = hashlib.sha256()
    found = []
    for member in members:
        try:
            file = tar.extractfile(member)
        except KeyError as error:
            raise DataError(f"{where}: has no file {member}.") from error
        if file is None:
            raise DataError(f"{where}: {member} is a folder; expected a file.")
        target = folder / Path(member).name
        target.write_bytes(file.read())
        content.update(target.read_bytes())
        found.append(target)
    if content.hexdigest() != sha256:
        raise DataError(
            f"{where}: {', '.join(members)}: sha256 is {content.hexdigest()}; expected {sha256}. "
            "The package is another one, or damaged."
        )
    return found
