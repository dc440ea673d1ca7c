"""Checks of the files of a tree: missing ones, foreign ones, and names that are not allowed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.checks.result import folders, json_or_empty, places
from sut.submission.layout import CALIBRATION_FILE, DIVISIONS, MODEL_MAPPING_FILE
from sut.submission.order import type_of

if TYPE_CHECKING:
    from data.rounds.rules import Round
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result
    from sut.submission.layout import Submitter

_MAX_BYTES = 50 * 1024 * 1024
# What MLCommons itself adds to a published tree.
_PUBLISHED = (
    ".git", ".github", "assets", "run.sh", "mkdocs.yml", "dbversion", "summary_results.json",
)  # fmt: skip
# What checkers refused up to v5.1, and neither they nor the rules mention since.
_NO_LONGER_REFUSED = {
    "hidden-name", "blank-in-name", "empty-folder", "broken-link", "system-without-results",
}  # fmt: skip
_LOGS = {SUMMARY_FILE, DETAIL_FILE}
_OPTIONAL = {"mlperf_log_trace.json", "results.json", ".gitkeep"}
_POWER_LOG = "spl.txt"
_ALLOWED = {
    "performance": _LOGS | _OPTIONAL | {ACCURACY_LOG},
    "accuracy": _LOGS | _OPTIONAL | {ACCURACY_LOG, ACCURACY_FILE},
}


def check_root(root: Path, findings: Findings) -> None:
    """Check for files beside the divisions and the submitters."""
    for path in sorted(root.iterdir()):
        if path.name in (*DIVISIONS, *_PUBLISHED):
            continue
        if path.is_dir():
            findings.error(
                "extra-file", path, "is not a division", f"Expected {', '.join(DIVISIONS)}"
            )
        elif path.suffix not in {".md", ".pdf"}:
            findings.error("extra-file", path, "does not belong beside the divisions", "Remove it")
    for division in DIVISIONS:
        for path in sorted((root / division).glob("*")):
            if path.is_file():
                findings.error(
                    "extra-file", path, "does not belong beside the submitters", "Remove it"
                )


def check_submitter(submitter: Submitter, round_: Round, findings: Findings) -> None:
    """Check the submitter's folder: names, sizes, source code, calibration, systems."""
    _check_entries(str(submitter.folder), round_, findings)
    found = [place.system for place in places(submitter)]
    for path in sorted((submitter.folder / "systems").glob("*.json")):
        if path.stem not in found:
            wrong = ("system-without-results", "it has no results", "Remove it, or add its results")
            _tell(wrong, path, round_, findings)
    if not found:
        return
    if not submitter.source.is_dir() or not any(submitter.source.iterdir()):
        findings.error("source-missing", submitter.source, "there is no source code", "Add it")
    closed = submitter.division != "open"
    if closed and round_.layout != "v0.5" and not _has_calibration(submitter, round_):
        findings.error(
            "calibration-missing",
            submitter.folder / CALIBRATION_FILE,
            "it must say how the model was quantized, or that it was not",
            "Write it",
        )


def _has_calibration(submitter: Submitter, round_: Round) -> bool:
    """Tell whether quantization is described; since v6.0 under any name that begins so."""
    name = f"{Path(CALIBRATION_FILE).stem}*" if round_.layout == "flat" else CALIBRATION_FILE
    either = (submitter.folder, submitter.folder / "documentation")
    return any(path.is_file() for folder in either for path in folder.glob(name))


def check_scenarios(submitter: Submitter, results: list[Result], findings: Findings) -> None:
    """Check in closed that each benchmark has the scenarios of its round, and no other."""
    groups: dict[Path, list[Result]] = {}
    for result in results:
        groups.setdefault(result.place.results.parent, []).append(result)
    for folder, group in groups.items():
        first = group[0]
        if first.not_judged:
            findings.warn(
                "not-judged",
                folder,
                f"{first.model} is not a vision benchmark, so its bounds, counts, accuracy and "
                "compliance tests are not judged",
                "Check it with the official checker",
            )
        elif not first.closed:
            _check_mapping(submitter, first, findings)
        elif first.rules is None:
            findings.error(
                "unknown-model",
                folder,
                f"{first.place.benchmark} is no benchmark of "
                f"{first.round.name} that this program knows",
                "Check it with the official checker",
            )
        elif first.rules.scenarios:
            _check_group(folder, first, {r.scenario for r in group}, findings)


def check_files(result: Result, findings: Findings) -> None:
    """Check that the two folders of logs hold nothing else."""
    for folder, kind in (
        (result.place.performance(), "performance"),
        (result.place.accuracy, "accuracy"),
    ):
        allowed = _ALLOWED[kind]
        if kind == "performance" and (folder.parent / "power").is_dir():
            allowed = allowed | {_POWER_LOG}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and path.name not in allowed:
                findings.error("extra-file", path, "is not a log of LoadGen", "Remove it")


def _check_group(folder: Path, result: Result, found: set[str], findings: Findings) -> None:
    assert result.rules is not None, "the caller has looked"
    kind = type_of(result.system)
    required = result.rules.scenarios.get(kind)
    if required is None:
        findings.error(
            "wrong-type",
            folder,
            f'{result.rules.name} is not a benchmark of a "{kind}" system',
            "Correct system_type, or move it to open",
        )
        return
    for name in sorted(set(required) - found):
        findings.error(
            "scenario-missing",
            folder / name,
            "the round requires this scenario",
            f"Run `sut submit -s {name}`",
        )
    for name in sorted(found - set(required)):
        findings.error(
            "scenario-unknown",
            folder / name,
            "the round has no such scenario for this benchmark and type of system",
            "Remove it",
        )


def _check_mapping(submitter: Submitter, result: Result, findings: Findings) -> None:
    path = submitter.folder / MODEL_MAPPING_FILE
    if result.rules is None and result.round.layout != "v0.5":
        known = ", ".join(json_or_empty(path)) or "nothing"
        findings.error(
            "model-mapping",
            path,
            f"{result.place.benchmark} is mapped to no benchmark "
            f"of {result.round.name} that this program knows; the file maps {known}",
            "Add it",
        )


def _check_entries(folder: str, round_: Round, findings: Findings) -> None:
    """Check the names and sizes of everything in a folder, at any depth.

    The tree of a round has 50,000 files, so each folder is read once, and only bad entries get a
    path.
    """
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    if not entries:
        _tell(("empty-folder", "is empty", "Remove it"), Path(folder), round_, findings)
    for entry in entries:
        wrong = _wrong_name(entry.name) or _wrong_entry(entry)
        if wrong:
            _tell(wrong, Path(entry.path), round_, findings)
        elif entry.is_dir(follow_symlinks=False):
            _check_entries(entry.path, round_, findings)


def _tell(wrong: tuple[str, str, str], path: Path, round_: Round, findings: Findings) -> None:
    """Add code, finding and remedy, as severe as the round takes it."""
    harmless = round_.layout == "flat" and wrong[0] in _NO_LONGER_REFUSED
    code, what, remedy = wrong
    (findings.warn if harmless else findings.error)(code, path, what, remedy)


def _wrong_name(name: str) -> tuple[str, str, str] | None:
    """Return code, finding and remedy for a name that a tree may not have."""
    if name.startswith(".") and name != ".gitkeep":
        return "hidden-name", "its name begins with a dot", "Rename or remove it"
    if " " in name:
        return "blank-in-name", "its name has a space", "Rename it"
    if name == "__pycache__":
        return "extra-file", "holds files that Python left behind", "Remove it"
    return None


def _wrong_entry(entry: os.DirEntry[str]) -> tuple[str, str, str] | None:
    """Return code, finding and remedy for what a tree may not hold."""
    if entry.is_symlink():
        there = Path(entry.path).exists()
        return None if there else ("broken-link", "points to nothing", "Remove it")
    if not entry.is_file(follow_symlinks=False):
        return None
    size = entry.stat(follow_symlinks=False).st_size
    if size <= _MAX_BYTES:
        return None
    return "too-large", f"{size} bytes; at most {_MAX_BYTES} are allowed", "Remove it"


def has_results(root: Path) -> bool:
    """Return whether a tree has at least one folder of results."""
    return any(
        folders(submitter / "results")
        for division in DIVISIONS
        for submitter in folders(root / division)
    )
