"""A page of headings, paragraphs, tables and pictures in one self-contained HTML file."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sut import __version__
from sut.base.errors import ConfigError
from sut.report.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# How a page of this program begins: only such a file is written over.
_GENERATOR = '<meta name="generator" content="loadgen-sut'
_HEAD_CHARACTERS = 1_000
_WORDY = 80  # a value of a block from this length on has a line of its own
_LONG = 40  # a text from this length on is broken into lines


def page(title: str, lines: Sequence[str], parts: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: its heading.
        lines: below it: the date, what is simulated.
        parts: the rest, as HTML.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'{_GENERATOR} {escape(__version__)}"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
        f"{''.join(about(line) for line in lines)}</header>"
        f"<main>{''.join(parts)}</main>"
        f"<footer>Made by loadgen-sut {escape(__version__)}.</footer></body></html>\n"
    )


def is_ours(text: str) -> bool:
    """Return whether a text is a page of this program."""
    return _GENERATOR in text[:_HEAD_CHARACTERS]


def check_place(out: Path, option: str) -> None:
    """Refuse to write over a folder, or over a file that is no page of this program.

    Raises:
        ConfigError: it names the option.
    """
    if out.is_dir():
        raise ConfigError(f"{option}: {out} is a folder; expected a file, such as {out}/page.html.")
    if out.exists() and not is_ours(out.read_text("utf-8", errors="replace")):
        raise ConfigError(f"{option}: {out} is no page of this program. Name another file.")


def heading(text: str, level: int = 2, anchor: str = "") -> str:
    """Return a heading; `anchor` is what a link names."""
    name = f' id="{escape(anchor)}"' if anchor else ""
    return f"<h{level}{name}>{escape(text)}</h{level}>"


def contents(titles: Sequence[tuple[str, str]]) -> str:
    """Return links to the sections, each (anchor, title); nothing for a single one."""
    items = "".join(
        f'<li><a href="#{escape(anchor)}">{escape(title)}</a></li>' for anchor, title in titles
    )
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>' if len(titles) > 1 else ""


def lead(text: str, *, is_good: bool | None = None) -> str:
    """Return the answer, in a box; None: neither good nor bad."""
    name = "" if is_good is None else " good" if is_good else " bad"
    return f'<p class="lead{name}">{escape(text)}</p>'


def warning(text: str) -> str:
    """Return a sentence that must not be missed."""
    return f'<p class="warn">{escape(text)}</p>'


def about(text: str) -> str:
    """Return a line below a heading: when, where, with what; nothing without text."""
    return f'<p class="about">{escape(text)}</p>' if text else ""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def points(lines: Sequence[str], *, is_plain: bool = False) -> str:
    """Return a list of sentences; nothing without any. A plain list has no bullets."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    kind = ' class="plain"' if is_plain else ""
    return f"<ul{kind}>{items}</ul>" if lines else ""


def code(text: str) -> str:
    """Return a command; nothing without one."""
    return f"<pre><code>{escape(text)}</code></pre>" if text else ""


def facts(values: Sequence[tuple[str, str, str]]) -> str:
    """Return a block of (name, value, where the value is from); nothing without any."""
    inner = "".join(_fact(*value) for value in values)
    return f'<dl class="facts">{inner}</dl>' if values else ""


def _fact(name: str, value: str, source: str) -> str:
    kind = ' class="wordy"' if len(value) > _WORDY else ""
    small = f"<small>{escape(source)}</small>" if source else ""
    return f"<div{kind}><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def figures(pictures: Sequence[tuple[str, str]]) -> str:
    """Return (figure, caption) side by side if there is room; nothing without any."""
    inner = "".join(
        figure.replace("</figure>", f"<figcaption>{escape(caption)}</figcaption></figure>")
        for figure, caption in pictures
    )
    return f'<div class="charts">{inner}</div>' if pictures else ""


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Sequence[int] = (),
    title: str = "Table",
) -> str:
    """Return a table that scrolls in its box; the columns `left` hold text."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{_class(k, value, left)}>{escape(value)}</{tag}>"
            for k, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return _box(title, f"<thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody>")


def meters(
    header: tuple[str, str], rows: Sequence[tuple[str, str, float]], title: str = "Parts"
) -> str:
    """Return rows of (name, value, share), the share as a bar of that part of the width."""
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td><td>{share:.0%}</td>"
        f'<td class="meters"><span class="meter" style="width:{share:.1%}"></span></td></tr>'
        for name, value, share in rows
    )
    head = "".join(f"<th>{escape(word)}</th>" for word in (*header, "share", ""))
    return _box(title, f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def _box(title: str, inner: str) -> str:
    # It scrolls, so the keyboard must reach it.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"<table>{inner}</table></div>"
    )


def _class(column: int, value: str, left: Sequence[int]) -> str:
    names = ["text"] if column in left else []
    if column in left and len(value) > _LONG:
        names.append("long")
    if value in {"VALID", "INVALID"}:
        names.append(value.lower())
    return f' class="{" ".join(names)}"' if names else ""
