"""Objects that do harm in a worker: as samples to load, as what a call returns, as what it raises.

A worker process imports this module by name, as it unpickles them.
"""

from __future__ import annotations

import atexit
import os
import time
from typing import NoReturn

EXIT_CODE = 7
LONG_S = 60.0


class NeedsTwoArguments(Exception):
    """Pickles, and cannot be unpickled: its arguments are not those that it takes."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


class RaisingSamples:
    """Samples whose reading raises an exception that cannot be unpickled."""

    def read(self, *_: object) -> NoReturn:
        raise NeedsTwoArguments("sample 3", "is torn")


class ExitingSamples:
    """Samples whose reading ends the process."""

    def read(self, *_: object) -> NoReturn:
        os._exit(EXIT_CODE)


class QuittingSamples:
    """Samples whose reading asks the interpreter to end."""

    def read(self, *_: object) -> NoReturn:
        raise SystemExit(EXIT_CODE)


class ClingingSamples:
    """Samples whose reading leaves something to do when the interpreter ends, which takes long."""

    def read(self, *_: object) -> NoReturn:
        atexit.register(time.sleep, LONG_S)
        raise ValueError("nothing to read")


class MuteSamples:
    """Samples whose reading closes the process's socket and goes on for long."""

    def read(self, *_: object) -> None:
        os.closerange(3, 64)
        time.sleep(LONG_S)


class QuittingSpec:
    """An executor's parts, of which the engine asks the interpreter to end."""

    cpus = ""

    @property
    def engine(self) -> NoReturn:
        raise SystemExit(EXIT_CODE)


def explode() -> NoReturn:
    """Be what an object is made of, and fail."""
    raise RuntimeError("nobody can read this")


class Unreadable(int):
    """A number that can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return explode, ()


class Unpicklable(int):
    """A number that cannot be pickled."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("this stays here")


class BecomesUnreadable(int):
    """A number that is `Unreadable` at the other end."""

    def __reduce__(self) -> tuple[object, ...]:
        return Unreadable, (int(self),)


class BecomesUnpicklable(int):
    """A number that is `Unpicklable` at the other end."""

    def __reduce__(self) -> tuple[object, ...]:
        return Unpicklable, (int(self),)
