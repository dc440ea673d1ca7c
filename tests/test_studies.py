"""docs/results/studies.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/results/studies.md").read_text("utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:\w+/)+test_\w+\.py)(?:::(test_\w+))?`", TEXT)

    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (path := ROOT / "tests" / file).is_file()
        or f"def {name}(" not in path.read_text("utf-8") + "def ("
    ]
    assert missing == []


def test_every_claim_has_a_row() -> None:
    rows = re.findall(r"^\| ([GJ]\d+):", TEXT, re.MULTILINE)

    assert rows == [*(f"G{k}" for k in range(1, 11)), *(f"J{k}" for k in range(1, 17))]
