"""A file that keeps what a long command found, one line each, so that it can continue.

The first line holds the settings of the command; another command cannot continue the file. A line
that was cut off by the end of the process is dropped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOURNAL_FILE = "journal.jsonl"


class JournalFile:
    """The file of one command.

    Args:
        folder: of the command.
        settings: what must not change for it to continue.
        what: the command makes, such as "tuning".
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], what: str) -> None:
        self._path = folder / JOURNAL_FILE
        self._settings = settings
        self._what = what

    def open(self) -> list[dict[str, object]]:
        """Read the file, or start it; return its entries.

        Raises:
            ConfigError: the folder holds one with other settings.
        """
        if not self._path.exists():
            self.append({"settings": self._settings})
            return []
        lines = whole_lines(self._path)
        self._check(json.loads(lines[0])["settings"] if lines else self._settings)
        return [json.loads(line) for line in lines[1:]]

    def append(self, entry: Mapping[str, object]) -> None:
        """Keep an entry."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _check(self, before: Mapping[str, object]) -> None:
        now = json.loads(json.dumps(self._settings))
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if differing:
            raise ConfigError(
                f"{self._path.parent} holds a {self._what} with another {', '.join(differing)}. "
                "Name another --out, or use --fresh to start again and keep the old folder."
            )


def whole_lines(path: Path) -> list[str]:
    """Return the lines; an incomplete last line is removed from the file."""
    text = path.read_text(encoding="utf-8")
    end = text.rfind("\n") + 1
    if end < len(text):
        path.write_text(text[:end], encoding="utf-8")
    return text[:end].splitlines()
