"""Where generated files are kept, and how to write them: complete, or not at all.

One command at a time works in a folder: see `held`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CACHE_VARIABLE = "SUT_CACHE_DIR"
# Beside the code, so that removing the checkout removes everything.
_BESIDE_THE_CODE = Path(__file__).resolve().parents[2] / ".cache"
# What a disk or its owner refuses, and what to do about it.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ENTRY = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG),
}


def cache_folder() -> Path:
    """Return the folder for samples, models and plans: the first of these that can be written.

    $SUT_CACHE_DIR, which alone counts if it is set; `.cache` beside the code; the user's own cache
    folder, $XDG_CACHE_HOME/loadgen-sut or ~/.cache/loadgen-sut.
    """
    return first_writable(os.environ, _BESIDE_THE_CODE)


def first_writable(variables: Mapping[str, str], beside: Path) -> Path:
    """Do what `cache_folder` does, for given variables and a given folder beside the code."""
    if named := variables.get(CACHE_VARIABLE):
        # Other processes of the command work in other folders.
        return Path(named).expanduser().absolute()
    if _can_be_written(beside):
        return beside
    base = variables.get("XDG_CACHE_HOME") or str(Path(variables.get("HOME", "~")) / ".cache")
    return Path(base).expanduser() / "loadgen-sut"


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder can be written, or made and then written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, and remove it afterwards with all that is left in it.

    Raises:
        ConfigError: the disk is full, or nothing can be written there.
    """
    with writing_to(parent):
        parent.mkdir(parents=True, exist_ok=True)
        # Named before it is made, so that a signal in between leaves nothing behind.
        folder = parent / f".tmp-{secrets.token_hex(8)}"
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Say in one line that nothing, or no more, can be written to a folder of the cache.

    Raises:
        ConfigError: instead of such an OSError.
    """
    try:
        yield
    except OSError as error:
        about = Path(error.filename or folder)
        about_it = about.is_relative_to(folder) or folder.is_relative_to(about)
        if is_full(error):
            todo = f"Make room, or set {CACHE_VARIABLE} to a folder with more."
        elif error.errno in _NO_ENTRY and about_it:
            todo = f"Set {CACHE_VARIABLE} to a writable folder."
        else:
            raise
        raise ConfigError(
            f"{folder}: the cache cannot be written: {error.strerror}. {todo}"
        ) from error


def make_folder(folder: Path, option: str) -> None:
    """Make a folder that an option names, unless it is there.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, option, error) from error


def not_writable(folder: Path, option: str, error: OSError) -> ConfigError:
    """Return the error for a folder that an option names and nothing can be written to."""
    todo = "Make room, or name another folder" if is_full(error) else "Name a writable folder"
    return ConfigError(f"{option}: {folder} cannot be written: {error.strerror}. {todo}.")


def write_whole(files: Mapping[Path, str]) -> None:
    """Write text files: all of them, or after an error none. It replaces what is there.

    Makes the folder of a file where there is none, and removes it again after an error.

    Raises:
        OSError: one of them cannot be written.
    """
    parts = {path: path.with_name(path.name + ".part") for path in files}
    made = [path.parent for path in files if not path.parent.exists()]
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path].write_text(text, encoding="utf-8")
        for path, part in parts.items():
            part.replace(path)
    except BaseException:
        for part in parts.values():
            with contextlib.suppress(OSError):  # it was not made
                part.unlink()
        for folder in made:
            with contextlib.suppress(OSError):  # it was not made, or holds what another one wrote
                folder.rmdir()
        raise


def is_full(error: OSError) -> bool:
    """Return whether the disk, a quota, or the limit on a file's size left no room."""
    return error.errno in _NO_ROOM


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
