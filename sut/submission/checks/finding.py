"""The finding of a check: which file, what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

# "error": do not submit this; "warning": a person must look at it.
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        code: its kind, for scripts: docs/submission.md lists them.
        path: the file or folder, from the tree's root.
        what: what was found, and what was expected.
        remedy: what to do.
        severity: see Severity.
    """

    code: str
    path: str
    what: str
    remedy: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.path}: {self.what}. {self.remedy}."


class Findings:
    """Collects findings; paths are made relative to the tree."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.found: list[Finding] = []

    def error(self, code: str, path: Path, what: str, remedy: str) -> None:
        """Add an error."""
        self.found.append(Finding(code, self._relative(path), _one_line(what), remedy))

    def warn(self, code: str, path: Path, what: str, remedy: str) -> None:
        """Add a warning."""
        self.found.append(Finding(code, self._relative(path), _one_line(what), remedy, "warning"))

    def _relative(self, path: Path) -> str:
        if path == self._root:
            return "."
        inside = path.is_relative_to(self._root)
        return _one_line(str(path.relative_to(self._root) if inside else path))


def _one_line(text: str) -> str:
    """Escape what cannot be printed in a line: other people's files and names hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
