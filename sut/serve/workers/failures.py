"""What a worker raised, as an error that names the worker and keeps the traceback.

Exceptions never travel as objects: one that pickles need not unpickle. Knows no threads, processes
or sockets.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sut.base.errors import (
    BatchTooLarge,
    ConfigError,
    DataError,
    EngineError,
    SutError,
    WorkerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bad input stays bad input, wherever it is found; everything else is a worker's failure.
BAD_INPUT = {kind.__name__: kind for kind in (ConfigError, DataError, BatchTooLarge, EngineError)}

# Calls that allocate what the batches need.
_BEFORE_THE_RUN = {"open", "load", "warm_up"}


class Raised(NamedTuple):
    """An exception as plain text.

    Attributes:
        kinds: names of its classes, its own first.
        text: what it says, in one line.
        traceback: its traceback.
    """

    kinds: tuple[str, ...]
    text: str
    traceback: str


class Elsewhere(Exception):
    """Stands for an exception in another process."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(one_line(raised))
        self.raised = raised


def describe(error: BaseException) -> Raised:
    """Return an exception as text. Call it in the `except` block."""
    if isinstance(error, Elsewhere):
        return error.raised
    kinds = tuple(kind.__name__ for kind in type(error).__mro__)
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises must not hide itself
        lines = []
    return Raised(kinds, lines[0] if lines else "", "".join(traceback.format_exception(error)))


def one_line(raised: Raised) -> str:
    """Return the kind of an exception and what it says."""
    return f"{raised.kinds[0]}: {raised.text}" if raised.text else raised.kinds[0]


def named(raised: Raised, worker: str, what: str) -> SutError:
    """Return what to raise for a call that failed.

    Args:
        raised: what the call raised.
        worker: its name, such as "device 0, instance 1".
        what: the call, such as "load".
    """
    kind = next((BAD_INPUT[name] for name in raised.kinds if name in BAD_INPUT), None)
    if kind is ConfigError:  # what the user wrote; no device has a part in it
        return kind(raised.text)
    has_device = worker.split(",", maxsplit=1)[0] in raised.text
    text = raised.text if has_device else f"{worker}: {raised.text}"
    if kind is not None:
        return kind(text)
    if MemoryError.__name__ in raised.kinds and what in _BEFORE_THE_RUN:
        what = what.replace("_", "-")
        why = raised.text or "out of memory"
        return BatchTooLarge(
            f"{worker}: {what} failed: {why}. Lower max_batch_size, slots or instances."
        )
    if SutError.__name__ not in raised.kinds:  # nobody wrote a message for the user
        text = f"{worker}: {what.replace('_', '-')} failed: {one_line(raised)}"
    return WorkerError(text, raised.traceback)


@contextmanager
def naming(worker: str, what: str) -> Iterator[None]:
    """Raise whatever is raised inside as an error that names the worker."""
    try:
        yield
    except BaseException as error:  # an engine that ends its thread has failed as well
        raise named(describe(error), worker, what) from error
