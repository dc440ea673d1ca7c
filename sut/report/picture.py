"""A chart as an SVG file of its own, with its title, legend and colours: for documents.

A page shows the same figure with its own style; see sut.report.svg.
"""

from __future__ import annotations

from xml.etree import ElementTree

from sut.report.style import STYLE
from sut.report.svg import HEIGHT, WIDTH

_TITLE, _LINE, _MARGIN = 22.0, 18.0, 8.0
_SWATCH = 28.0
_LETTER = 6.4  # room that a letter of the legend takes
# What a page gives to its charts from outside.
_OWN = "svg{font-family:system-ui,'Liberation Sans',sans-serif;background:var(--bg)}"
_HEADING = "svg text.heading{font-size:13px;font-weight:600;fill:var(--fg)}"


def picture(figure: str) -> str:
    """Return the text of an SVG file.

    Args:
        figure: of sut.report.svg or sut.report.bars.
    """
    root = ElementTree.fromstring(figure)
    drawn = root.find("svg")
    title = root.findtext("p", "")
    assert drawn is not None, "every figure has one"
    legend, height = _legend(root.findall("ul/li"))
    top = _TITLE + height
    inner = "".join(ElementTree.tostring(part, "unicode") for part in drawn)
    label = drawn.get("aria-label", "").replace("&", "&amp;").replace('"', "&quot;")
    whole = f"{WIDTH + 2 * _MARGIN:g} {HEIGHT + top + 2 * _MARGIN:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-_MARGIN:g} {-_MARGIN:g} {whole}" '
        f'role="img" aria-label="{label.replace("<", "&lt;")}">'
        f"<style>{STYLE.replace('&', '&amp;').replace('<', '&lt;')}{_OWN}{_HEADING}</style>"
        f'<text x="0" y="13" class="heading">{_escaped(title)}</text>'
        f'{legend}<g transform="translate(0 {top:g})">{inner}</g></svg>\n'
    )


def _legend(items: list[ElementTree.Element]) -> tuple[str, float]:
    """Return the lines of a legend, and their height; entries wrap where the chart ends."""
    parts, x, y = [], 0.0, _TITLE
    for item in items:
        swatch = item.find("svg")
        assert swatch is not None, "every entry has its sign"
        words = (swatch.tail or "").strip()
        wide = _SWATCH + len(words) * _LETTER + 2 * _MARGIN
        if x and x + wide > WIDTH:
            x, y = 0.0, y + _LINE
        sign = "".join(ElementTree.tostring(part, "unicode") for part in swatch)
        parts.append(
            f'<g class="{item.get("class", "")}" transform="translate({x:g} {y:g})">{sign}'
            f'<text x="{_SWATCH:g}" y="10">{_escaped(words)}</text></g>'
        )
        x += wide
    return "".join(parts), (y - _TITLE + _LINE + _MARGIN if items else 0.0)


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;")
