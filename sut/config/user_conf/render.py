"""Write a user.conf that LoadGen reads back as meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError
from sut.config.user_conf.keys import ROWS
from sut.config.user_conf.parse import parse
from sut.config.user_conf.wording import plain, quote, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def render(model: str, scenario: str, values: Mapping[str, int | float]) -> str:
    """Return the text of a user.conf that sets `values`, by key and in user.conf's units.

    LoadGen reads back exactly these values for `model` (`*` for all) in `scenario`.

    Raises:
        ConfigError: a name or value that `parse` refuses.
    """
    source = f"settings for {quote(model)} in {quote(scenario)}"
    if not _MODEL.fullmatch(model):
        raise ConfigError(f"{source}: a model's name has letters, digits and `_ . + -`; rename it.")
    for name in values:
        if name not in ROWS:
            raise ConfigError(f"{source}: {unknown('key', name, ROWS)}")
    lines = [f"{model}.{scenario}.{name} = {plain(value)}\n" for name, value in values.items()]
    text = "".join(lines)
    parse(text, source, (model,))
    return text
