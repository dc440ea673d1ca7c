"""Checks of accuracy.txt and the truncated accuracy log: figure, hash, size."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from sut.base.files import sha256_file
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.checks.reading import figures, read_text
from sut.submission.truncate import HASH_LINE, MAX_BYTES, truncated

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOTAL = re.compile(r"total=0*(\d+)")
# Where a log was cut. A Windows checkout ends lines with CRLF, which moves the place.
_CUT = re.compile(rb"(?:\r?\n){2}\.\.\.(?:\r?\n){2}")


def check_accuracy(result: Result, originals: Path | None, findings: Findings) -> None:
    """Check the accuracy folder; `originals`, if given, holds the runs with whole logs."""
    folder = result.place.accuracy
    text = read_text(folder / ACCURACY_FILE)
    if text is None:
        findings.error(
            "accuracy-missing",
            folder / ACCURACY_FILE,
            "there is no accuracy.txt",
            "Write what the accuracy script prints there",
        )
        check_log(folder, findings)
        return
    check_figure(result, folder / ACCURACY_FILE, text, findings)
    _check_total(result, folder / ACCURACY_FILE, text, findings)
    original = None if originals is None else originals / result.place.key / "accuracy"
    check_hash(folder, text, original, findings)


def check_figure(result: Result, path: Path, text: str, findings: Findings) -> None:
    """Check every figure of an accuracy.txt: each of them must reach the target."""
    rules = result.rules
    if rules is None:
        return
    try:
        found = figures(rules.metric, text)
    except ValueError as error:
        findings.error(
            "accuracy-unreadable", path, str(error), "Write what the accuracy script prints there"
        )
        return
    if result.closed and min(found) < rules.target:
        findings.error(
            "accuracy-low",
            path,
            f"{rules.metric} is {min(found):g}; {rules.name} requires {rules.target:g}",
            "Correct model, preprocessing or labels",
        )
    elif len(set(found)) > 1:
        findings.error(
            "accuracy-unreadable",
            path,
            f"it states {rules.metric} {' and '.join(f'{value:g}' for value in found[:4])}",
            "Keep what the accuracy script printed for this run",
        )


def check_hash(folder: Path, text: str, original: Path | None, findings: Findings) -> None:
    """Check the log beside an accuracy.txt, and its hash."""
    path, log = folder / ACCURACY_FILE, folder / ACCURACY_LOG
    if not check_log(folder, findings):
        return
    found = list(dict.fromkeys(HASH_LINE.findall(text.replace("\r\n", "\n"))))
    if not found:
        findings.error(
            "hash-missing",
            path,
            "there is no line hash=SHA256 of the whole log",
            "Truncate the log again",
        )
        return
    reasons = [_why_not(stated, log, original) for stated in found]
    if all(reasons):
        findings.error("wrong-hash", path, reasons[-1], "Truncate the whole log again")
    elif len(found) > 1:  # the official script adds its own to one that was there
        findings.warn(
            "several-hashes",
            path,
            f"{len(found)} hashes: {', '.join(text[:12] + '...' for text in found[:4])}",
            "Keep that of the whole log",
        )


def check_log(folder: Path, findings: Findings) -> bool:
    """Check that there is a truncated accuracy log; return whether there is any."""
    log = folder / ACCURACY_LOG
    if not log.is_file():
        findings.error(
            "accuracy-log-missing",
            log,
            "there is no accuracy log",
            "Truncate the run's log into it",
        )
        return False
    size = log.stat().st_size
    if size > MAX_BYTES:
        findings.error(
            "not-truncated",
            log,
            f"{size} bytes; at most {MAX_BYTES} are allowed",
            "Truncate it, and keep the whole log elsewhere",
        )
    return True


def _why_not(stated: str, log: Path, original: Path | None) -> str:
    """Return why a hash cannot be that of the whole log; empty if it can."""
    if not _SHA256.fullmatch(stated):
        return f"hash={stated[:20]} is not a SHA-256 in lower-case hexadecimal"
    content = log.read_bytes()
    is_of_this = stated in _hashes(content)
    cut = _CUT.search(content) is not None
    if cut and is_of_this:
        return "the hash is that of the truncated log, not of the whole one"
    if not cut and not is_of_this:
        actual = hashlib.sha256(content).hexdigest()
        return f"the hash is {stated[:12]}..., and that of the log beside it {actual[:12]}..."
    whole = None if original is None else original / ACCURACY_LOG
    return "" if whole is None or not whole.is_file() else _not_of(stated, content, whole)


def _hashes(content: bytes) -> set[str]:
    """Return the hashes of a text with either line end."""
    plain = content.replace(b"\r\n", b"\n")
    return {
        hashlib.sha256(form).hexdigest() for form in (content, plain, plain.replace(b"\n", b"\r\n"))
    }


def _not_of(stated: str, content: bytes, whole: Path) -> str:
    """Return why hash and log are not those of `whole`."""
    expected = sha256_file(whole)
    if stated != expected:
        return f"the hash is {stated[:12]}..., and that of {whole} {expected[:12]}..."
    if content != truncated(whole):
        return f"the log beside it is not the two ends of {whole}"
    return ""


def _check_total(result: Result, path: Path, text: str, findings: Findings) -> None:
    total, rules = _TOTAL.search(text), result.rules
    if rules is not None and total and total[1] != str(rules.dataset_size):
        findings.error(
            "data-set-size",
            path,
            f"{total[1][:20]} samples were judged; {rules.name} has {rules.dataset_size}",
            "Run the accuracy test on the whole data set",
        )
