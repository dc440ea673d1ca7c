"""Turns a good file into one that a person, an editor or a broken disk could have made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_PIECES = (
    b"\n", b"\r\n", b"\t", b" ", b"#", b"=", b":", b"- ", b",", b'"', b"'", b"{", b"}", b"[", b"]",
    b"&a", b"*a", b"!!", b"|", b"%", b"\0", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"\x1b[31m", b"0x", b"1e999", b"-1", b"nan", b"inf", b"1_000", b"null",
    b"~", b"9" * 400, b"../", b"*", b".", b"yes", b"0", b"\\ud800", b"<<: ", b"1.", b"e", b"?",
)  # fmt: skip
_MOST_EDITS = 4
_DEEP = 3_000


def mutated(text: bytes, random: Random) -> bytes:
    """Return `text` with one to four edits, most of them small."""
    for _ in range(random.randint(1, _MOST_EDITS)):
        text = random.choice(_EDITS)(text, random)
    return text


def _insert(text: bytes, random: Random) -> bytes:
    at = random.randint(0, len(text))
    return text[:at] + random.choice(_PIECES) + text[at:]


def _replace(text: bytes, random: Random) -> bytes:
    at = random.randint(0, len(text))
    return text[:at] + random.choice(_PIECES) + text[at + random.randint(0, 8) :]


def _cut(text: bytes, random: Random) -> bytes:
    at = random.randint(0, len(text))
    return text[:at] if random.random() < 0.2 else text[:at] + text[at + random.randint(1, 12) :]


def _flip(text: bytes, random: Random) -> bytes:
    if not text:
        return text
    at = random.randrange(len(text))
    return text[:at] + bytes([text[at] ^ 1 << random.randrange(8)]) + text[at + 1 :]


def _repeat_line(text: bytes, random: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if lines:
        lines.insert(random.randint(0, len(lines)), random.choice(lines))
    return b"".join(lines)


def _drop_line(text: bytes, random: Random) -> bytes:
    lines = text.splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    return b"".join(lines)


def _swap_words(text: bytes, random: Random) -> bytes:
    words = text.split(b" ")
    a, b = random.randrange(len(words)), random.randrange(len(words))
    words[a], words[b] = words[b], words[a]
    return b" ".join(words)


def _misspell(text: bytes, random: Random) -> bytes:
    """Put a letter into a word, as in a key that nobody knows."""
    places = [k for k in range(len(text)) if text[k : k + 1].isalpha()]
    at = random.choice(places) if places else 0
    return text[:at] + bytes([random.randrange(ord("a"), ord("z"))]) + text[at:]


def _nest(text: bytes, random: Random) -> bytes:
    at = random.randint(0, len(text))
    opening = random.choice((b"[", b'{"a":', b"- "))
    return text[:at] + opening * random.choice((50, _DEEP)) + text[at:]


_EDITS = (
    *(_insert, _replace, _cut, _flip, _repeat_line, _drop_line, _swap_words) * 3,
    *(_misspell,) * 4,
    _nest,
)
