"""Checks of accuracy.txt and the truncated accuracy log: figure, hash, size."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from sut.base.files import sha256_file
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.truncate import CUT, HASH_LINE, MAX_BYTES, VIEWABLE_BYTES, truncated

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

# As submission_checker reads them (constants.py, ACC_PATTERN).
PATTERNS = {
    "acc": r"^(?:\{\"accuracy|accuracy)[\": ]*=?\s*([\d\.]+).*",
    "mAP": r".*(?:mAP=|'Total':)\s*([\d.]+)",
    "DICE": r"Accuracy\:\s*mean\s*=\s*([\d\.]+).*",
    "bleu": r"^BLEU\:\s*([\d\.]+).*",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOTAL = re.compile(r"total=(\d+)")


def check_accuracy(result: Result, originals: Path | None, findings: Findings) -> None:
    """Check the accuracy folder; `originals`, if given, holds the runs with whole logs."""
    folder = result.place.accuracy
    text = _text(folder / ACCURACY_FILE)
    if text is None:
        findings.error(
            "accuracy-missing",
            folder / ACCURACY_FILE,
            "there is no accuracy.txt",
            "Write what the accuracy script prints there",
        )
        return
    _check_figure(result, folder / ACCURACY_FILE, text, findings)
    original = None if originals is None else originals / result.place.key / "accuracy"
    check_hash(folder, text, original, findings)


def check_hash(folder: Path, text: str, original: Path | None, findings: Findings) -> None:
    """Check the log beside an accuracy.txt, and its hash."""
    path, log = folder / ACCURACY_FILE, folder / ACCURACY_LOG
    if not log.is_file():
        findings.error(
            "accuracy-log-missing",
            log,
            "there is no accuracy log",
            "Truncate the run's log into it",
        )
        return
    if log.stat().st_size > MAX_BYTES:
        findings.error(
            "not-truncated",
            log,
            f"{log.stat().st_size} bytes; at most {MAX_BYTES} are allowed",
            "Truncate it, and keep the whole log elsewhere",
        )
    found = HASH_LINE.findall(text)
    if not found:
        findings.error(
            "hash-missing",
            path,
            "there is no line hash=SHA256 of the whole log",
            "Truncate the log again",
        )
        return
    wrong = _wrong_hash(found[0], log, original)
    if wrong:
        findings.error("wrong-hash", path, wrong, "Truncate the whole log again")


def _wrong_hash(stated: str, log: Path, original: Path | None) -> str:
    """Return why a hash is not that of the whole log; empty if nothing speaks against it."""
    if not _SHA256.fullmatch(stated):
        return f"hash={stated[:20]} is no SHA-256 in lower-case hexadecimal"
    content = log.read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    cut = content[VIEWABLE_BYTES : VIEWABLE_BYTES + len(CUT)] == CUT
    if cut and stated == actual:
        return "the hash is that of the truncated log, not of the whole one"
    if not cut and stated != actual:
        return f"the hash is {stated[:12]}..., and that of the log beside it {actual[:12]}..."
    whole = None if original is None else original / ACCURACY_LOG
    return "" if whole is None or not whole.is_file() else _not_of(stated, content, whole)


def _not_of(stated: str, content: bytes, whole: Path) -> str:
    """Return why hash and log are not those of `whole`."""
    expected = sha256_file(whole)
    if stated != expected:
        return f"the hash is {stated[:12]}..., and that of {whole} {expected[:12]}..."
    if content != truncated(whole):
        return f"the log beside it is not the two ends of {whole}"
    return ""


def _check_figure(result: Result, path: Path, text: str, findings: Findings) -> None:
    rules = result.rules
    if rules is None:
        return
    pattern = re.compile(PATTERNS[rules.metric])
    found = [match[1] for line in text.splitlines() if (match := pattern.match(line))]
    if not found:
        findings.error(
            "accuracy-unreadable",
            path,
            f"no line says {rules.metric}",
            "Write what the accuracy script prints there",
        )
        return
    value = float(found[-1])
    if result.closed and value < rules.target:
        findings.error(
            "accuracy-low",
            path,
            f"{rules.metric} is {value:g}; {rules.name} wants {rules.target:g}",
            "Correct model, preprocessing or labels",
        )
    total = _TOTAL.search(text)
    if total and int(total[1]) < rules.dataset_size:
        findings.error(
            "data-set-size",
            path,
            f"{total[1]} samples were judged; {rules.name} has {rules.dataset_size}",
            "Run the accuracy test on the whole data set",
        )


def _text(path: Path) -> str | None:
    return path.read_text("utf-8", errors="replace") if path.is_file() else None
