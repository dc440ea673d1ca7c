from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from data.strict_yaml import StrictStruct, load_strict, parse_strict
from sut.base.errors import ConfigError


class Circle(StrictStruct, frozen=True, tag_field="kind", tag="circle"):
    radius_mm: float


class Square(StrictStruct, frozen=True, tag_field="kind", tag="square"):
    side_mm: Annotated[int, Meta(gt=0)]

    def __post_init__(self) -> None:
        if self.side_mm == 13:
            raise ValueError("side_mm is 13; expected luck")


class Drawing(StrictStruct, frozen=True):
    name: str
    shapes: tuple[Circle | Square, ...] = ()
    frame: Circle | Square | None = None
    pages: Mapping[Literal["front", "back"], Mapping[str, int]] = {}
    sizes: Annotated[tuple[int, ...], Meta(min_length=1)] = (1,)
    scale: float | tuple[float, ...] = 1.0
    shade: Literal["light", "dark"] = "dark"
    bold: bool = False


MISTAKES = {
    "unknown key": ("name: a\nbolt: true", 'd.yaml:2: bolt: .*"bold"'),
    "unknown inner key": (
        "name: a\nshapes:\n  - kind: circle\n    radius: 1",
        r'd.yaml:4: shapes\[0\].radius: .*"radius_mm"',
    ),
    "repeated key": ("name: a\nbold: true\nname: b", "d.yaml:3: name: .*line 1"),
    "repeated inner key": (
        "name: a\npages:\n  front: {x: 1,\n    x: 2}",
        "d.yaml:4: pages.front.x: .*line 3",
    ),
    "missing key": ("bold: true", "d.yaml:1: name: missing"),
    "missing inner key": (
        "name: a\nframe:\n  kind: circle",
        "d.yaml:2: frame.radius_mm: missing",
    ),
    "text for bool": ("name: a\nbold: yes", 'd.yaml:2: bold: .*"yes"'),
    "bool for int": ("name: a\nsizes: [true]", r"d.yaml:2: sizes\[0\]: got True"),
    "int for text": ("name: 3", "d.yaml:1: name: got 3"),
    "null for text": ("name:", r"d.yaml:1: name: .*null"),
    "text in a list": (
        "name: a\nscale:\n  - 1.0\n  - x",
        r'd.yaml:4: scale\[1\]: .*"x"; expected a number',
    ),
    "mapping for a number": ("name: a\nbold: {a: 1}", "d.yaml:2: bold: .*keys a"),
    "list for keys": ("[1]", r"d.yaml:1: got \[1\]; .*name, "),
    "text for a list": ("name: a\nsizes: 3x4", 'd.yaml:2: sizes: .*"3x4"; expected a list'),
    "too short a list": (
        "name: a\nsizes: []",
        r"d.yaml:2: sizes: got \[\]; expected .*length >= 1",
    ),
    "out of range": (
        "name: a\nshapes: [{kind: square, side_mm: 0}]",
        r"d.yaml:2: shapes\[0\].side_mm: got 0; .*>= 1",
    ),
    "no such choice": ("name: a\nshade: drak", 'd.yaml:2: shade: .*"drak".*"dark"'),
    "no such tag": ("name: a\nframe: {kind: sqare}", 'd.yaml:2: frame.kind: got .*"square"'),
    "no tag": (
        "name: a\nframe: {side_mm: 1}",
        "d.yaml:2: frame.kind: missing.*circle",
    ),
    "no keys for a tag": ("name: a\nframe: 3", "d.yaml:2: frame: got 3.*kind"),
    "no such map key": ("name: a\npages: {fronts: {}}", 'd.yaml:2: pages.fronts: .*"front"'),
    "wrong map value": ("name: a\npages: {back: {x: y}}", "d.yaml:2: pages.back.x: got text"),
    "own rule": (
        "name: a\nframe: {kind: square, side_mm: 13}",
        "d.yaml:2: frame: side_mm is 13",
    ),
    "broken": ("name: [a\nbold: true", "d.yaml:2: .*; expected YAML."),
    "tab": ("name: a\n\tbold: true", "d.yaml:2: .*; expected YAML."),
    "two documents": ("name: a\n---\nname: b", "d.yaml:2: .*; expected YAML."),
    "empty": ("", "d.yaml:1: .*empty.*name"),
    "comment alone": ("# nothing\n", "d.yaml:1: .*empty"),
    "alias": ("name: &a x\nshade: *a", r"d.yaml:2: alias \*a is not read"),
    "recursion": ("name: &a [*a]", r"d.yaml:1: alias \*a is not read"),
    "object": (
        "name: !!python/object:os.system x",
        'd.yaml:1: name: tag "tag:yaml.org,2002:python/object:os.system"',
    ),
    "object as a list": ("name: a\nsizes: !!set [1]", 'd.yaml:2: sizes: tag "tag:.*set"'),
    "object as a key": ("name: a\n!!odd bold: true", 'd.yaml:2: bold: tag "tag:.*odd"'),
    "list's tag": ("name: !!seq x", "d.yaml:1: name: tag .*seq"),
    "key of a list": ("? [a]\n: b", "d.yaml:1: a key is a list, a mapping"),
    "half a character": ('name: "\\ud800"', "d.yaml:1: name: holds half a character"),
    "key of half a character": ('"\\ud800": a', "d.yaml:1: a key is .*half a character"),
    "endless number": ("name: a\nscale: 1e999", "d.yaml:2: scale: 1e999 is out of"),
    "long number": ("name: a\nsizes: [" + "1" * 5000 + "]", "d.yaml:2: .*number of 5000 digits"),
    "control character": ("name: a\nbold: \x07", "d.yaml:2: character 7 is not allowed"),
    "deep": ("name: " + "[" * 600, "d.yaml:1: nested too deeply"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        parse_strict(text, "d.yaml", Drawing)

    assert "\n" not in str(caught.value)


def test_right_text_becomes_frozen_structures() -> None:
    drawing = parse_strict(
        "name: a\nshapes: [{kind: circle, radius_mm: 2}]\npages: {front: {x: 0x10}}\nscale: [1e2]",
        "d.yaml",
        Drawing,
    )

    assert drawing == Drawing(
        name="a", shapes=(Circle(2.0),), pages={"front": {"x": 16}}, scale=(100.0,)
    )
    with pytest.raises(AttributeError):
        drawing.name = "b"  # type: ignore[misc] # the point of the test


@pytest.mark.parametrize("word", ["yes", "off", "1:30", "2024-01-01", "0o17", ".inf", "1e", "-"])
def test_what_yaml_1_1_would_convert_stays_text(word: str) -> None:
    assert parse_strict(f"name: {word!r}", "d.yaml", Drawing).name == word


def refusal(text: str) -> str:
    """Return why `text` is refused, or nothing."""
    try:
        parse_strict(text, "d.yaml", Drawing)
    except ConfigError as error:
        return str(error)
    return ""


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    message = refusal(text)

    assert message == "" or message.startswith("d.yaml:")
    assert len(message.splitlines()) <= 1


@pytest.mark.slow
@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["name", "kind", "x"]), inner)
        ),
    ),
    st.sampled_from(["name", "shapes", "frame", "pages", "sizes", "scale", "shade", "bold"]),
)
def test_any_value_of_any_key_is_read_or_refused_in_one_line(value: object, key: str) -> None:
    message = refusal(json.dumps({"name": "a", key: value}, ensure_ascii=False))

    assert message == "" or message.startswith("d.yaml:1:")
    assert len(message.splitlines()) <= 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: .*No such file"):
        load_strict(tmp_path / "none.yaml", Drawing)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_strict(tmp_path, Drawing)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(b"name: \xff")

    with pytest.raises(ConfigError, match="byte 6 is not UTF-8"):
        load_strict(path, Drawing)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a")

    assert load_strict(path, Drawing).name == "a"
