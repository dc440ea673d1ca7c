"""The parts of a page: text is escaped, and verdicts have their colour."""

from __future__ import annotations

from html.parser import HTMLParser

from sut.report.page import (
    code,
    contents,
    facts,
    figures,
    heading,
    is_ours,
    lead,
    meters,
    page,
    points,
    table,
)


class Tags(HTMLParser):
    """Collects the start tags, and checks that each end tag closes the last one open."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all_closed(self) -> bool:
        return not self._open


def test_a_page_closes_every_tag_and_needs_no_other_file() -> None:
    text = page(
        "Tuning",
        ["started today", ""],
        [
            heading("What was found", 2, "found"),
            lead("Batch 8.", is_good=True),
            points(["one", "two"]),
            code("sut run"),
            table(["batch", "verdict"], [["8", "VALID"]]),
            figures([("<figure><svg></svg></figure>", "a chart")]),
            facts([("slots", "2", "default"), ("a<b", "1", "")]),
            meters(("part", "ms"), [("compute", "2.5", 0.5)]),
            contents([("one", "One"), ("two", "Two")]),
        ],
    )

    tags = Tags()
    tags.feed(text)
    assert tags.all_closed()
    assert tags.started.count("li") == 4
    assert is_ours(text)
    assert not {"script", "link", "img"} & set(tags.started)


def test_text_is_escaped() -> None:
    for part in (heading("a<b"), lead("a<b", is_good=False), points(["a<b"]), code("a<b")):
        assert "a&lt;b" in part


def test_verdicts_and_text_have_their_class() -> None:
    text = table(["name", "result"], [["one", "VALID"], ["two", "INVALID"]], left=[0])

    assert '<td class="valid">VALID' in text
    assert '<td class="invalid">INVALID' in text
    assert '<th class="text">name' in text


def test_what_has_no_content_is_nothing() -> None:
    assert [points([]), facts([]), figures([]), code(""), contents([("a", "A")])] == [""] * 5
