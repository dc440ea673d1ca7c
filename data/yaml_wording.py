"""What messages about a YAML file call its values and types, in a writer's words."""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec

from sut.base.errors import nearest

KeyPath = tuple["str | int", ...]

_LONGEST_VALUE = 40  # characters of a refused value that a message repeats
_WORD_FOR = {
    "array": "a list",
    "object": "keys and values",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def explain(message: str, value: object) -> str:
    """Turn msgspec's message into `got ...; expected ...`; a rule of ours is already a sentence."""
    message = message.partition(" - at `")[0]
    if message.startswith("Expected "):
        expected = message.removeprefix("Expected ").partition(", got ")[0]
        return f"got {shown(value)}; expected {_plain(expected)}."
    return message if message.endswith(".") else f"{message}."


def explain_choice(value: object, choices: list[str]) -> str:
    """Say what came, which words are known, and which is nearest."""
    hint = nearest(value, choices) if isinstance(value, str) else ""
    return f"got {shown(value)}; expected one of {', '.join(choices)}.{hint}"


def _plain(text: str) -> str:
    return re.sub(
        r"\b(array|object|str|int|float|bool)\b", lambda found: _WORD_FOR[found[1]], text
    ).replace("`", "")


def shown(value: object) -> str:
    """Return a value as its writer would know it, cut to a readable length."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return f"keys {one_line(', '.join(value))}"[:_LONGEST_VALUE] if value else "no keys"
    text = f'text "{one_line(value)}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def type_name(type_: object) -> str:
    """Return what a type expects, in words."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return f"keys: {known_keys(type_)}"
    if get_origin(type_) is Literal:
        return f"one of {', '.join(map(str, get_args(type_)))}"
    if get_origin(type_) in (tuple, list):
        return "a list"
    if get_origin(type_) in (Union, UnionType) and not is_tagged_union(type_):
        return " or ".join(map(type_name, get_args(type_)))
    if get_origin(type_) is Annotated:
        return type_name(get_args(type_)[0])
    return _WORD_FOR.get(getattr(type_, "__name__", ""), "a value")


def is_tagged_union(type_: object) -> bool:
    """Return whether a key of the value chooses one of several structures."""
    if get_origin(type_) not in (Union, UnionType):
        return False
    structs = [m for m in get_args(type_) if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    return any(struct.__struct_config__.tag_field for struct in structs)


def known_keys(struct: type[msgspec.Struct]) -> str:
    """Return the keys of a structure, the one that chooses it first."""
    tag = struct.__struct_config__.tag_field
    return ", ".join([*([tag] if tag else []), *struct.__struct_fields__])


def key_name(path: KeyPath) -> str:
    """Return `input.shape[0]` for ("input", "shape", 0)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return one_line(text)


def is_whole(text: str) -> bool:
    """Tell text from half a character, which an escape can write but no file can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def one_line(text: str) -> str:
    """Return text with escapes for what would break the line."""
    return text if text.isprintable() else repr(text)[1:-1]
