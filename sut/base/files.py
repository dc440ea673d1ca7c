"""Where generated files are kept, and how to write them: complete, or not at all.

One command at a time works in a folder: see `held`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

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


@contextmanager
def held(folder: Path, option: str, *, wait: bool = False) -> Iterator[None]:
    """Let no other command that asks hold the folder meanwhile, not even after a crash of this one.

    Nothing is left in the folder: the lock is on the folder itself.

    Args:
        folder: it must be there.
        option: what names the folder on the command line, for the message.
        wait: for the other command's end.

    Raises:
        ConfigError: another command holds the folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            # Some network file systems lock no folders; there, only `mkdir` keeps two runs apart.
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise ConfigError(
                    f"{option}: {folder} is in use by another command. Name another folder, or "
                    "wait until it ends."
                ) from error
        yield
    finally:
        os.close(handle)
