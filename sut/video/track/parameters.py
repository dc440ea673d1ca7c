"""What a tracker may be told: plain values by name, as a YAML file has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Plain = bool | int | float | str
PLAIN = (bool, int, float, str)


def check_parameters(tracker: str, known: Mapping[str, Plain], given: Mapping[str, object]) -> None:
    """Refuse a parameter that a tracker does not have, or of another type than its default.

    Args:
        tracker: its name.
        known: every parameter with its default.
        given: what the user wrote.

    Raises:
        ConfigError: names the parameter, and what is expected.
    """
    for key, value in given.items():
        if key not in known:
            raise ConfigError(
                f"tracker {tracker}: no parameter {key!r}.{nearest(key, known)} It has "
                f"{', '.join(known) or 'none'}."
            )
        default = known[key]
        if type(value) is not type(default) and not (type(default) is float and type(value) is int):
            raise ConfigError(
                f"tracker {tracker}: {key} is {value!r}; expected a value like {default!r}."
            )
