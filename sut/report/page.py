"""A page of headings, paragraphs, tables and pictures in one self-contained HTML file."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:68rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
.lead{font-size:1.1rem;background:#f3f6fa;border-left:4px solid #0072b2;padding:.7rem 1rem}
.bad{border-color:#b00020}
table{border-collapse:collapse;font-size:.88rem}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4}
th:first-child,td:first-child,td.text,th.text{text-align:left}
.wide{overflow-x:auto}svg{width:100%;max-width:640px;height:auto}svg text{font-size:12px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));gap:1.2rem}
figure{margin:0}figcaption{font-size:.88rem;color:#555}
.invalid{color:#b00020}.valid{color:#007a52}code{background:#f3f3f3;padding:0 .2rem}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}"
        "</body></html>\n"
    )


def heading(text: str) -> str:
    """Return a heading."""
    return f"<h2>{escape(text)}</h2>"


def lead(text: str, *, is_good: bool) -> str:
    """Return the answer, in a box."""
    return f'<p class="lead{"" if is_good else " bad"}">{escape(text)}</p>'


def points(lines: Sequence[str]) -> str:
    """Return a list of sentences; nothing without any."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if lines else ""


def code(text: str) -> str:
    """Return a command."""
    return f"<p><code>{escape(text)}</code></p>"


def figures(pictures: Sequence[tuple[str, str]]) -> str:
    """Return (SVG, caption) side by side if there is room."""
    inner = "".join(
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for svg, caption in pictures
    )
    return f'<div class="charts">{inner}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Return a table; the columns `left` hold text."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{_class(k, value, left)}>{escape(value)}</{tag}>"
            for k, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{cells("th", header)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _class(column: int, value: str, left: Sequence[int]) -> str:
    names = ["text"] if column in left else []
    if value in {"VALID", "INVALID"}:
        names.append(value.lower())
    return f' class="{" ".join(names)}"' if names else ""
