"""What is installed only where it is asked for, and the line that says how."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needs_pyzmq(who: str) -> Iterator[None]:
    """Import inside what needs pyzmq, of the extra `cluster`.

    Args:
        who: the option or command that needs it.

    Raises:
        ConfigError: it is missing; says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{who} needs pyzmq. Install it: pip install -e '.[cluster]'") from error
