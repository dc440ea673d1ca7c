"""Reads the text of other people's files: any bytes, and figures that may not be numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# As submission_checker reads accuracy.txt (constants.py, ACC_PATTERN).
PATTERNS = {
    "acc": r"^(?:\{\"accuracy|accuracy)[\": ]*=?\s*([\d\.]+).*",
    "mAP": r".*(?:mAP=|'Total':)\s*([\d.]+)",
    "DICE": r"Accuracy\:\s*mean\s*=\s*([\d\.]+).*",
    "bleu": r"^BLEU\:\s*([\d\.]+).*",
}


def read_text(path: Path) -> str | None:
    """Return a file's text, with replacements for what is not UTF-8; None if there is no file."""
    try:
        return path.read_text("utf-8", errors="replace") if path.is_file() else None
    except OSError:  # without permission to read it, treat it as missing
        return None


def figures(metric: str, text: str) -> list[float]:
    """Return the figures of an accuracy.txt, in its order.

    Args:
        metric: a name of PATTERNS.
        text: the whole file.

    Raises:
        ValueError: there is none, or one of them is not a number; says which.
    """
    pattern = re.compile(PATTERNS[metric])
    found = [match[1] for line in text.splitlines() if (match := pattern.match(line))]
    if not found:
        raise ValueError(f"it has no line with {metric}")
    return [number(text) for text in found]


def number(text: str) -> float:
    """Return a number in digits.

    Raises:
        ValueError: it is none; says so.
    """
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f'"{text[:40]}" is not a number') from error
