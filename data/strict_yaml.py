"""Reads a YAML file strictly into frozen typed structures; a mistake is one line with its place.

Knows nothing of what the files mean: the types say what is expected. Plain words are YAML 1.2's:
`true`, `false`, `null`, numbers; `yes`, `on`, `1:30` and dates are text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import yaml

from data.yaml_loader import Loader
from data.yaml_wording import (
    KeyPath,
    explain,
    explain_choice,
    is_tagged_union,
    is_whole,
    key_name,
    known_keys,
    shown,
    type_name,
)
from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(gt=0)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")
)
_LONGEST_INT = 4000  # digits; Python refuses to read much longer ones


class StrictStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every structure that a YAML file fills: frozen, typed, no unknown keys.

    A subclass states its own rules in `__post_init__` by ValueError; `load_strict` adds the place.
    """


def load_strict(path: Path, type_: type[T]) -> T:
    """Read the YAML file at `path` into `type_`.

    Raises:
        ConfigError: `file:line: key: what came; what was expected`, for the first mistake: broken
            YAML, an empty file, an unknown, repeated or missing key, a wrong type or value.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; expected a YAML file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start} is not UTF-8; expected YAML text."
        ) from error
    return parse_strict(text, str(path), type_)


def parse_strict(text: str, where: str, type_: type[T]) -> T:
    """Read YAML text into `type_`; `where` is the file's name in messages. See load_strict."""
    document = _Document(where)
    try:
        root = Loader(text).get_single_node()
        if root is None:
            raise ConfigError(f"{where}:1: the file is empty; expected {type_name(type_)}.")
        value = document.construct(root, ())
        document.check(value, type_, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"{where}:{line}: {error.problem or error.context}; expected YAML."
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{where}:{line}: character {error.character!r} is not allowed in YAML; remove it."
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{where}:1: nested too deeply; expected a flat YAML file.") from error
    return msgspec.convert(value, type_)


class _Document:
    """One file while it is checked: its name, and the line of every key and item."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: dict[KeyPath, int] = {}

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return the error for `path`, at its line or at that of the nearest key above it."""
        known = path
        while known not in self.lines:
            known = known[:-1]
        key = f"{key_name(path)}: " if path else ""
        return ConfigError(f"{self.where}:{self.lines[known]}: {key}{message}")

    def construct(self, node: yaml.Node, path: KeyPath) -> object:
        """Return plain data for `node`, remembering lines and refusing a repeated key."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._check_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._construct_mapping(node, path)
        return self._construct_scalar(node, path)

    def _construct_mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        made: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not is_whole(key_node.value):
                raise ConfigError(
                    f"{self.where}:{line}: a key is a list, a mapping or half a "
                    "character; expected a word."
                )
            key: str = key_node.value
            inner = (*path, key)
            if key in made:
                raise ConfigError(
                    f"{self.where}:{line}: {key_name(inner)}: repeated, first on line "
                    f"{self.lines[inner]}; expected each key once."
                )
            self.lines[inner] = line
            self._check_tag(key_node, inner)
            made[key] = self.construct(value_node, inner)
        return made

    def _check_tag(self, node: yaml.Node, path: KeyPath) -> None:
        if node.tag not in _TAGS:
            raise self.error(path, f'tag "{node.tag}" is not read; expected a plain value.')

    def _construct_scalar(self, node: yaml.Node, path: KeyPath) -> object:
        word: str = node.value
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return word.lower() == "true"
            case "int":
                return self._int(word, path)
            case "float":
                if not math.isfinite(float(word)):
                    raise self.error(path, f"{word} is out of a number's range.")
                return float(word)
            case "str":
                if not is_whole(word):
                    raise self.error(path, "holds half a character; expected text.")
                return word
        raise self.error(path, f'tag "{node.tag}" is for a list or a mapping, not for "{word}".')

    def _int(self, word: str, path: KeyPath) -> int:
        if len(word) > _LONGEST_INT:
            raise self.error(path, f"a number of {len(word)} digits; expected a shorter one.")
        return int(word.replace("_", ""), 16 if word.startswith("0x") else 10)

    def check(self, value: object, type_: object, path: KeyPath) -> None:
        """Raise ConfigError for the first part of `value` that does not fit."""
        whole = _choose(type_, value)
        type_ = _bare(whole)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            self._check_struct(value, type_, path)
        elif get_origin(type_) in (dict, Mapping) and isinstance(value, dict):
            key_type, value_type = get_args(type_)
            for key, inner in value.items():
                self._check_key(key, key_type, path)
                self.check(inner, value_type, (*path, key))
        elif get_origin(type_) in (tuple, list) and isinstance(value, list):
            for i, item in enumerate(value):
                self.check(item, get_args(type_)[0], (*path, i))
        elif is_tagged_union(type_):
            self._refuse_tag(value, type_, path)
        self._convert(value, whole, path)

    def _check_struct(self, value: object, struct: type[msgspec.Struct], path: KeyPath) -> None:
        if not isinstance(value, dict):
            raise self.error(path, f"got {shown(value)}; expected keys: {known_keys(struct)}.")
        tag = struct.__struct_config__.tag_field
        keys = [*struct.__struct_fields__, *([tag] if tag else [])]
        for key in value:
            if key not in keys:
                raise self.error(
                    (*path, key),
                    f"unknown key; expected one of {known_keys(struct)}.{nearest(key, keys)}",
                )
        hints = get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            if field.name in value:
                self.check(value[field.name], hints[field.name], (*path, field.name))
            elif field.required:
                raise self.error(
                    (*path, field.name), f"missing; expected {type_name(hints[field.name])}."
                )

    def _check_key(self, key: str, key_type: object, path: KeyPath) -> None:
        try:
            msgspec.convert(key, key_type)
        except msgspec.ValidationError as error:
            choices = [str(choice) for choice in get_args(key_type)]
            raise self.error(
                (*path, key),
                f"unknown key; expected one of {', '.join(choices)}.{nearest(key, choices)}",
            ) from error

    def _refuse_tag(self, value: object, union: object, path: KeyPath) -> None:
        """Raise for a value whose tag chooses none of a union's structures."""
        structs = _structs(union)
        tag_field = structs[0].__struct_config__.tag_field
        assert tag_field is not None
        tags = [str(struct.__struct_config__.tag) for struct in structs]
        expected = f"expected one of {', '.join(tags)}."
        if not isinstance(value, dict):
            raise self.error(
                path, f"got {shown(value)}; expected keys with {tag_field}: {expected}"
            )
        inner = (*path, tag_field)
        if tag_field not in value:
            raise self.error(inner, f"missing; {expected}")
        raise self.error(inner, explain_choice(value[tag_field], tags))

    def _convert(self, value: object, type_: object, path: KeyPath) -> None:
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            if get_origin(type_) is Literal:
                message = explain_choice(value, [str(choice) for choice in get_args(type_)])
            else:
                message = explain(str(error), value)
            raise self.error(path, message) from error


def _choose(type_: object, value: object) -> object:
    """Return the member of a union that `value` matches; `type_` itself if that is open."""
    if get_origin(type_) not in (Union, UnionType):
        return type_
    members = [member for member in get_args(type_) if member is not NoneType]
    if value is None and len(members) < len(get_args(type_)):
        return NoneType
    if len(members) == 1:
        return members[0]
    if isinstance(value, dict):
        for struct in _structs(type_):
            config = struct.__struct_config__
            if config.tag_field is None or value.get(config.tag_field) == config.tag:
                return struct
    lists = [member for member in members if get_origin(_bare(member)) in (tuple, list)]
    return lists[0] if isinstance(value, list) and len(lists) == 1 else type_


def _bare(type_: object) -> object:
    """Return a type without its rules."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def _structs(union: object) -> list[type[msgspec.Struct]]:
    members = get_args(union)
    return [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]
