"""Where generated files are kept, and how to write them: complete, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Beside the code, so that removing the checkout removes everything.
CACHE_DIR = Path(__file__).resolve().parents[2] / ".cache"


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, and remove it afterwards with all that is left in it."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(made: Path, target: Path) -> None:
    """Move the folder `made` to `target`. It replaces an older `target`, which is never half there.

    Another process may put its own folder there first. It has the same content, so keep that one.
    """
    with temporary_folder(target.parent) as aside:
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, aside / target.name)
        try:
            os.rename(made, target)
        except OSError:
            if not target.is_dir():
                raise
