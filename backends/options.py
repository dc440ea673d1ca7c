"""Turns the options of a backend, a mapping of plain values, into its typed dataclass.

Knows neither the backends nor where the options come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue

OptionsT = TypeVar("OptionsT")


def read_options(options: Mapping[str, OptionValue], kind: type[OptionsT], where: str) -> OptionsT:
    """Return `options` as a `kind`, a dataclass whose fields are the known options.

    Types are strict: "2" is not an int, 1 is not a bool. Only an int may stand for a float.

    Raises:
        ConfigError: an option that does not exist, or a value that does not fit its type.
    """
    types = get_type_hints(kind, include_extras=True)
    fitting = {}
    for name, value in options.items():
        if name not in types:
            raise ConfigError(
                f'{where}: option "{name}" does not exist; known are {", ".join(types)}.'
                f"{nearest(name, types)}"
            )
        try:
            fitting[name] = msgspec.convert(value, types[name])
        except msgspec.ValidationError as error:
            raise ConfigError(
                f'{where}: option "{name}" is {value!r}; {_expected(types[name], value, error)}'
            ) from error
    return kind(**fitting)


def _expected(wanted: object, value: OptionValue, error: msgspec.ValidationError) -> str:
    if get_origin(wanted) is not Literal:
        text = str(error)
        return f"{text[:1].lower()}{text[1:]}."
    choices = get_args(wanted)
    return f"expected one of {', '.join(choices)}.{nearest(str(value), choices)}"
