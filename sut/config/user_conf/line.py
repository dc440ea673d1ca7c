"""One line of a user.conf: a name and its value, a comment, or why LoadGen would misread it."""

from __future__ import annotations

import re
import unicodedata

from sut.base.errors import ConfigError
from sut.config.user_conf.wording import quote

FORM = "`model.scenario.key = value`, for example `*.Server.target_qps = 100`"
FRACTION = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BLANKS = "\t\v\f\r "  # what C++ `>>` skips; str.split() would skip much more
_TOKEN = re.compile(rf"[^{_BLANKS}]+")


def split_line(line: str) -> tuple[str, str] | None:
    """Return the name and the value of a line, or None for a blank line or a comment."""
    if "\0" in line:
        raise ConfigError("a NUL character; expected plain text; save the file as UTF-8")
    if "\r" in line:
        raise ConfigError("a carriage return inside the line; expected one setting a line;"
                          " save the file with Unix line ends")  # fmt: skip
    tokens = _TOKEN.findall(line)
    if not tokens or _is_comment(tokens):
        return None
    for character in line:
        if not character.isprintable() and character not in _BLANKS:
            title = unicodedata.name(character, "a control character")
            raise ConfigError(
                f"U+{ord(character):04X} ({title}) in the line; LoadGen reads it as part of the"
                " name or value; replace it with a space or remove it"
            )
    if tokens[1:2] == ["="] and len(tokens) == len(("name", "=", "value")):
        return tokens[0], tokens[2]
    raise ConfigError(_syntax_problem(tokens))


def _is_comment(tokens: list[str]) -> bool:
    """Return whether LoadGen also skips this comment.

    LoadGen skips `# text`, but reads `#text` as a name. That is harmless alone or in a whole
    setting; otherwise LoadGen refuses the file.
    """
    if not tokens[0].startswith("#"):
        return False
    whole = tokens[1:2] == ["="] and all(FRACTION.fullmatch(token) for token in tokens[2:])
    if tokens[0] == "#" or len(tokens) == 1 or whole:
        return True
    raise ConfigError(
        f"{quote(' '.join(tokens))}: LoadGen may refuse the whole file because of it;"
        " a comment needs a space after its #; write `# ...`"
    )


def _syntax_problem(tokens: list[str]) -> str:
    line = quote(" ".join(tokens))
    if tokens[1:2] == ["="]:
        if tokens[2:3] in ([], ["#"]):
            return f"{line} has no value; expected {FORM}; add the value or remove the line"
        if tokens[3].startswith("#"):
            return (
                f"{line}: a comment after the value makes LoadGen refuse the whole file;"
                " expected the value last; put the comment on a line of its own"
            )
        return (
            f"{line} has {len(tokens) - 2} values, of which LoadGen takes the last;"
            f" expected {FORM}; keep one value"
        )
    if any("=" in token and token != "=" for token in tokens):
        return (
            f"{line}: no space on both sides of =, so LoadGen ignores or refuses it;"
            f" expected {FORM}; add the spaces"
        )
    return f"{line} is not a setting; expected {FORM}; correct it, or start the line with `# `"
