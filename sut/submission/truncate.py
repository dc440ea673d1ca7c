"""Truncates mlperf_log_accuracy.json for a submission, and keeps its hash in accuracy.txt.

The result is byte for byte that of mlcommons/inference, tools/submission/truncate_accuracy_log.py.
The whole log stays in the run folder: MLCommons may ask for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.base.files import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 10 * 1024  # what the checker allows
VIEWABLE_BYTES = 4096  # kept at each end
CUT = b"\n\n...\n\n"
HASH_LINE = re.compile(r"^hash=([\w\d]+)$", re.MULTILINE)


def place_accuracy(log: Path, line: str, to: Path) -> None:
    """Write accuracy.txt and the truncated log into the folder `to`.

    Args:
        log: a run's whole mlperf_log_accuracy.json.
        line: what the accuracy script prints.
        to: exists.
    """
    text = f"{line}\n\nhash={sha256_file(log)}\n"
    (to / "accuracy.txt").write_text(text, encoding="utf-8")
    (to / "mlperf_log_accuracy.json").write_bytes(truncated(log))


def truncated(log: Path) -> bytes:
    """Return the two ends of the log; a short log stays whole."""
    size = log.stat().st_size
    with log.open("rb") as file:
        if size < VIEWABLE_BYTES:
            return file.read()
        start = file.read(VIEWABLE_BYTES)
        file.seek(size - VIEWABLE_BYTES)
        return start + CUT + file.read()
