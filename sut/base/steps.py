"""What a long call is doing, for whoever listens: `compiling 3 of 6` while an engine is opened.

Without a listener, saying a step costs one look. A listener hears the thread that it is set in: a
thread that is started has none.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Hear: TypeAlias = Callable[[str], None]

_listener: ContextVar[Hear | None] = ContextVar("_listener", default=None)


def say_step(text: str) -> None:
    """Say what is done from now on, in a few words; any thread may call it."""
    hear = _listener.get()
    if hear is not None:
        hear(text)


def listener() -> Hear | None:
    """Return who hears this thread: to hand it to another one. None: nobody."""
    return _listener.get()


@contextmanager
def heard_by(hear: Hear | None) -> Iterator[None]:
    """Let `hear` hear the steps of this thread inside the `with`; it must not raise."""
    token = _listener.set(hear)
    try:
        yield
    finally:
        _listener.reset(token)


def named(hear: Hear | None, name: str) -> Hear | None:
    """Return a listener that puts a name before what it hears, such as `device 1: loading`."""
    if hear is None:
        return None
    return lambda text: hear(f"{name}: {text}")
