"""Every error that this program raises on purpose, and the exit code that each one means.

    SutError                  1   anything below
    |-- ConfigError           2   command line, YAML, user.conf: what the user wrote
    |-- DataError             2   data set, image, label, model file: what the user gave
    |-- EngineError           2   a backend cannot load the model, or its inputs do not fit
    |   `-- BatchTooLarge     2   a smaller max_batch_size may do: memory, profile, fixed batch axis
    `-- WorkerError           1   a batch failed during a run: the device, and its traceback

A message is one line: where, what came, what was expected, what to do. An
INVALID result is not an error: such a run exits 3, one that signal n ended 128 + n.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_VALID = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INVALID = 3
EXIT_SIGTERM = 143


class SutError(Exception):
    """Base of every deliberate error. `str()` gives the one line that the user reads."""

    exit_code: ClassVar[int] = EXIT_FAILED

    def __str__(self) -> str:
        """Return the message; what a terminal would obey, from a name or a file, is escaped."""
        return "".join(
            letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1]
            for letter in super().__str__()
        )


class ConfigError(SutError):
    """The command line, a YAML file or user.conf is wrong."""

    exit_code = EXIT_BAD_INPUT


class DataError(SutError):
    """A data set, an image, a label file or a model file is missing, empty or corrupt."""

    exit_code = EXIT_BAD_INPUT


class EngineError(SutError):
    """A backend cannot load the model, or the model does not fit what the benchmark feeds it."""

    exit_code = EXIT_BAD_INPUT


class BatchTooLarge(EngineError):
    """The engine does not take batches of this size; it may take smaller ones."""


class WorkerError(SutError):
    """A batch failed during a run; `worker_traceback` is the text of the first traceback."""

    def __init__(self, message: str, worker_traceback: str = "") -> None:
        super().__init__(message)
        self.worker_traceback = worker_traceback


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the known name closest to `name`, or an empty string."""
    found = closest_names(name, known)
    return f' Did you mean "{found[0]}"?' if found else ""


def closest_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that look like `name`, the closest first."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    return [by_lower[found] for found in get_close_matches(name.lower(), by_lower, most, 0.6)]
