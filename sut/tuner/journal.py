"""Keeps every answer of a tuning on disk, so that an interrupted one can continue.

A question that was answered before gets its answer from the file, so a search with the same
questions reaches the same end. Knows no search and no run.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, cast

import msgspec

from sut.record.journal import JOURNAL_FILE, JournalFile, whole_lines
from sut.serve.service_times import Measured
from sut.tuner.messages import Measure, Outcome, Reply, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sut.tuner.messages import Ask

PREDICTIONS_FILE = "predictions.jsonl"


class Journal:
    """The file of one tuning: its settings in the first line, then one answer per line."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._file = JournalFile(folder, settings, "tuning")
        self._known: dict[tuple[str, int], Reply] = {}
        self._asked: Counter[str] = Counter()
        self.entries: list[tuple[Ask, Reply]] = []

    def open(self) -> int:
        """Read the file, or start it; return how many answers it has.

        Raises:
            ConfigError: the folder holds a tuning with other settings.
        """
        counts: Counter[str] = Counter()
        for entry in self._file.open():
            ask = cast("Mapping[str, object]", entry["ask"])
            key = _key(ask)
            self._known[key, counts[key]] = _reply(ask, entry["reply"])
            counts[key] += 1
        return len(self._known)

    def answer(self, ask: Ask, find: Callable[[Ask], Reply]) -> tuple[Reply, bool]:
        """Return the answer and whether it was known; `find` and keep it if not."""
        plain = _plain(ask)
        key = _key(plain)
        number = self._asked[key]
        self._asked[key] += 1
        known = self._known.get((key, number))
        reply = find(ask) if known is None else known
        if known is None:
            self._file.append({"ask": plain, "reply": msgspec.to_builtins(reply, str_keys=True)})
        self.entries.append((ask, reply))
        return reply, known is not None


class Predictions(dict[str, float]):
    """Answers of the model by question, kept on disk: a resumed tuning need not compute them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PREDICTIONS_FILE
        lines = whole_lines(self._path) if self._path.exists() else []
        super().__init__(json.loads(line) for line in lines)

    def __setitem__(self, key: str, value: float) -> None:
        super().__setitem__(key, value)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, value]) + "\n")


def answers(folder: Path) -> Iterator[tuple[Ask, Reply]]:
    """Yield every question of a tuning in its folder with its answer.

    Raises:
        ValueError, KeyError, msgspec.ValidationError: the file is no journal of a tuning.
    """
    lines = (folder / JOURNAL_FILE).read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        entry = json.loads(line)
        fields = dict(entry["ask"])
        kind: type[Ask] = Measure if fields.pop("kind") == "measure" else Trial
        ask = msgspec.convert(fields, kind, strict=False)
        yield ask, _reply(entry["ask"], entry["reply"])


def _plain(ask: Ask) -> dict[str, object]:
    kind = "measure" if isinstance(ask, Measure) else "trial"
    fields: dict[str, object] = msgspec.to_builtins(ask, str_keys=True)
    return {"kind": kind, **fields}


def _key(plain: Mapping[str, object]) -> str:
    return json.dumps(plain, sort_keys=True)


def _reply(ask: Mapping[str, object], plain: object) -> Reply:
    kind: type[Reply] = Measured if ask["kind"] == "measure" else Outcome
    return msgspec.convert(plain, kind, strict=False)
