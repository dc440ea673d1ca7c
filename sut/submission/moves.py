"""Moves files and folders into place, all of them or none. Knows nothing about their content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import SutError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Move = tuple[Path, Path]
    Rename = Callable[[Path, Path], object]


class NotUndoneError(SutError):
    """Replaced files could not be moved back; they are still where they were set aside."""


def move_in(moves: Sequence[Move], set_aside: Path, rename: Rename = Path.rename) -> None:
    """Move each source to its target, only by renames, which need no disk space.

    A file at a target moves into `set_aside` first. An exception, even Ctrl-C, undoes everything in
    reverse order before it continues, so targets and folders are as they were.

    Args:
        moves: (source, target), all on the disk of `set_aside`.
        set_aside: an empty folder; afterwards it holds the replaced files.
        rename: moves one path to another.

    Raises:
        NotUndoneError: a rename failed, and then another one while undoing.
    """
    missing = [folder for _, to in moves for folder in to.parents if not folder.exists()]
    try:
        for number, (source, to) in enumerate(moves):
            to.parent.mkdir(parents=True, exist_ok=True)
            if to.exists():
                rename(to, set_aside / str(number))
            rename(source, to)
    except BaseException as error:
        try:
            _undo(moves, set_aside, rename)
            _remove_empty(missing)
        except OSError as second:
            raise NotUndoneError(
                f"{second.filename}: cannot be moved back: {second.strerror}. What was replaced is "
                f"kept in {set_aside}; move it back by hand."
            ) from error
        raise


def _undo(moves: Sequence[Move], set_aside: Path, rename: Rename) -> None:
    """Move back everything that was moved.

    The disk shows what that is, because an interrupt can come between a rename and a note of it.
    """
    for number, (source, to) in reversed(list(enumerate(moves))):
        if to.exists() and not source.exists():
            rename(to, source)
        replaced = set_aside / str(number)
        if replaced.exists():
            rename(replaced, to)


def _remove_empty(folders: Sequence[Path]) -> None:
    deepest_first = sorted(set(folders), key=lambda folder: len(folder.parts), reverse=True)
    for folder in deepest_first:
        if folder.is_dir():
            folder.rmdir()
