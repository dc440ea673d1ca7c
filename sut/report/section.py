"""What a page is made of: a section for each thing that was measured, put together in one page.

Knows headings and order; what a section says is in the modules of each kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sut.report import page

if TYPE_CHECKING:
    from collections.abc import Sequence

# A heading, or nothing, and the HTML below it.
Block = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Overview:
    """Lines on a section, for the table above several of them.

    Attributes:
        title: of the table: sections with the same one share it.
        header: of its columns.
        lines: cells of this section.
        left: columns of text.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        title: what was measured.
        about: when, where and with what, one line each.
        doubts: what is simulated or synthetic, one sentence each.
        blocks: its content.
        overview: its lines among several sections; None: it needs none.
        data: the same as data, for --json.
    """

    title: str
    about: tuple[str, ...]
    doubts: tuple[str, ...]
    blocks: tuple[Block, ...]
    overview: Overview | None = None
    data: dict[str, object] = field(default_factory=dict)


def assemble(sections: Sequence[Section]) -> str:
    """Return the page of one or more sections."""
    if len(sections) == 1:
        only = sections[0]
        parts = [*map(page.warning, only.doubts), *_blocks(only, level=2)]
        return page.page(only.title, only.about, parts)
    anchors = [f"part-{number}" for number in range(1, len(sections) + 1)]
    doubted = sum(bool(section.doubts) for section in sections)
    parts = [page.warning(text) for text in dict.fromkeys(d for s in sections for d in s.doubts)]
    if parts and doubted < len(sections):
        parts.append(page.paragraph(f"This holds for {doubted} of {len(sections)} parts."))
    parts.append(page.contents([(a, s.title) for a, s in zip(anchors, sections, strict=True)]))
    parts += _overviews(sections)
    for anchor, section in zip(anchors, sections, strict=True):
        parts.append(page.heading(section.title, 2, anchor))
        parts += [page.about(line) for line in section.about]
        parts += [*map(page.warning, section.doubts), *_blocks(section, level=3)]
    return page.page(_title(sections), (), parts)


def _title(sections: Sequence[Section]) -> str:
    kinds = {str(section.data.get("kind", "result")) for section in sections}
    return f"Report of {len(sections)} {kinds.pop() if len(kinds) == 1 else 'result'}s"


def _overviews(sections: Sequence[Section]) -> list[str]:
    tables: dict[str, list[Overview]] = {}
    for section in sections:
        if section.overview is not None:
            tables.setdefault(section.overview.title, []).append(section.overview)
    parts = []
    for title, of_kind in tables.items():
        lines = [line for overview in of_kind for line in overview.lines]
        table = page.table(of_kind[0].header, lines, of_kind[0].left, title)
        parts += [page.heading(title, 2), table]
    return parts


def _blocks(section: Section, level: int) -> list[str]:
    parts = []
    for heading, html in section.blocks:
        if html:
            parts += [page.heading(heading, level)] if heading else []
            parts.append(html)
    return parts
