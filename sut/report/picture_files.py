"""Every chart of a page as an SVG file of its own, for documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.report.picture import picture

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sut.report.section import Section

_FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)
_TITLE = re.compile(r'<p class="title">(.*?)</p>', re.DOTALL)


def picture_files(sections: Iterable[Section], folder: Path) -> dict[Path, str]:
    """Return the text of a file for each chart, by a path made of its title.

    Args:
        sections: of the page.
        folder: of the files.
    """
    found: dict[Path, str] = {}
    for section in sections:
        for _, html in section.blocks:
            for figure in _FIGURE.findall(html):
                title = _TITLE.search(figure)
                name = _slug(title.group(1) if title else "") or "chart"
                names = [name, *(f"{name}-{n}" for n in range(2, len(found) + 2))]
                path = next(p for n in names if (p := folder / f"{n}.svg") not in found)
                found[path] = picture(figure)
    return found


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"&\w+;", " ", title.lower())).strip("-")
