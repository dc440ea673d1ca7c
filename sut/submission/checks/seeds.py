"""Which round a tree belongs to: the one whose seeds most of its logs state."""

from __future__ import annotations

import glob
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.rounds import LATEST, round_named, round_of_seeds
from sut.record.loadgen_logs import DETAIL_FILE
from sut.submission.layout import DIVISIONS

if TYPE_CHECKING:
    from pathlib import Path

    from data.rounds.rules import Round

OLD_ROUND = "v0.5"
_HEAD_BYTES = 1 << 18  # LoadGen logs its settings before it loads a sample
# LoadGen 0.5 logged requested and effective settings under one name, the effective ones last.
_SEED = re.compile(rb'(?:"effective_qsl_rng_seed", "value": |: qsl_rng_seed : )(\d{1,20})\b')
_OLD_START = b'"pid":'


@dataclass(frozen=True, slots=True)
class Seeds:
    """The qsl_rng_seed of a tree's performance logs.

    Attributes:
        logs: how many logs state a seed.
        commonest: the seed that most of them state; None if none does.
        agreeing: how many state that one.
        old: a log has the form of LoadGen 0.5.
    """

    logs: int
    commonest: int | None
    agreeing: int
    old: bool

    @property
    def round(self) -> Round | None:
        """The round of these seeds; without any, the latest, or v0.5 by the form of the logs."""
        if self.commonest is None:
            return round_named(OLD_ROUND if self.old else LATEST)
        return round_of_seeds(self.commonest)


def read_seeds(root: Path, submitter: str | None = None) -> Seeds:
    """Read the seeds of a tree, or of one submitter in it. What cannot be read is left out."""
    found: Counter[int] = Counter()
    old = False
    whose = glob.escape(submitter) if submitter else "*"
    logs = f"{whose}/results/*/*/*/performance/run_1/{DETAIL_FILE}"
    for division in DIVISIONS:
        for path in sorted((root / division).glob(logs)):
            head = _head(path)
            old = old or head.startswith(_OLD_START)
            seeds = _SEED.findall(head)
            if seeds:
                found[int(seeds[-1])] += 1
    commonest, agreeing = found.most_common(1)[0] if found else (None, 0)
    return Seeds(found.total(), commonest, agreeing, old)


def _head(path: Path) -> bytes:
    if not path.is_file():  # to open a pipe may never end
        return b""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:  # a check of that log says so
        return b""
