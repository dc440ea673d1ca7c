"""How messages about a user.conf show what came: one line, printable, not too long."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from sut.base.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

_MAX_QUOTE = 60


def plain(value: float) -> str:
    """Print a number in digits: no exponent, and as many digits as it takes to read it back."""
    if isinstance(value, int):
        return str(int(value))  # a bool prints as a word otherwise
    number = float(value)
    return str(int(number)) if number.is_integer() else format(Decimal(repr(number)), "f")


def quote(text: str) -> str:
    """Quote text of the file for a message: one line, printable, not too long."""
    return repr(text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE] + "...")


def printable(path: str) -> str:
    """Return a path as it is, or quoted if it would break the line."""
    return path if path.isprintable() else repr(path)


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return that LoadGen ignores `name`, and what the user may have meant."""
    guess = nearest(name[:_MAX_QUOTE], known)
    if guess:
        return f"{what} {quote(name)} is unknown, and LoadGen silently ignores it.{guess}"
    return (
        f"{what} {quote(name)} is unknown, and LoadGen silently ignores it;"
        f" expected {', '.join(sorted(known))}; correct it or remove the line"
    )
