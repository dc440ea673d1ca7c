"""Checks of a tree of v0.5 (2019), whose logs have another form: files, verdicts, accuracy.

Source: mlcommons/inference, v0.5/tools/submission/submission-checker.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.record.loadgen_logs import SUMMARY_FILE, read_summary_text
from sut.record.run_folder import ACCURACY_FILE, USER_CONF_FILE
from sut.submission.checks.accuracy import PATTERNS
from sut.submission.layout import README_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

_MEASURED = ("mlperf.conf", USER_CONF_FILE, README_FILE)


def check_old(result: Result, findings: Findings) -> None:
    """Check one result of v0.5."""
    runs = result.round.server_runs if result.scenario == "Server" else 1
    for number in range(1, runs + 1):
        _check_run(result, result.place.performance(number), findings)
    for name in _MEASURED:
        path = result.place.measurements / name
        if not path.is_file():
            findings.error("file-missing", path, "it is missing", "Write it")
    if not any(result.place.measurements.glob("*.json")):
        findings.error(
            "measurements-missing",
            result.place.measurements,
            "there is no JSON file in it",
            "Write it",
        )
    _check_accuracy(result, findings)


def _check_run(result: Result, folder: Path, findings: Findings) -> None:
    path = folder / SUMMARY_FILE
    if not path.is_file() or not path.stat().st_size:
        findings.error("summary-missing", path, "there is no such run", "Run it")
        return
    text = read_summary_text(path)
    said = dict(re.findall(r"^(\w[\w ]*\w) *: (.*)$", text, re.MULTILINE))
    if said.get("Result is", "").strip() != "VALID":
        findings.error("invalid-result", path, f"it says {said.get('Result is')}", "Run it again")
    scenario = re.sub(r"\W", "", said.get("Scenario", ""))
    if scenario != result.scenario:
        findings.error(
            "wrong-scenario",
            path,
            f"it is a run of {said.get('Scenario')}; expected {result.scenario}",
            "Put the right log there",
        )
    count = re.search(r"performance_sample_count *: (\d+)", text)
    if count and result.rules and int(count[1]) < result.rules.performance_sample_count:
        findings.error(
            "sample-count",
            path,
            f"LoadGen held {count[1]} samples; expected "
            f"{result.rules.performance_sample_count} or more",
            "Run it again",
        )


def _check_accuracy(result: Result, findings: Findings) -> None:
    path = result.place.accuracy / ACCURACY_FILE
    if not path.is_file():
        findings.error("accuracy-missing", path, "there is no accuracy.txt", "Write it")
        return
    if result.rules is None or not result.closed:
        return
    text = path.read_text("utf-8", errors="replace")
    pattern = re.compile(PATTERNS[result.rules.metric])
    found = [float(match[1]) for line in text.splitlines() if (match := pattern.match(line))]
    if not found:
        findings.error(
            "accuracy-unreadable", path, f"no line says {result.rules.metric}", "Write it"
        )
    elif found[-1] < result.rules.target:
        findings.error(
            "accuracy-low",
            path,
            f"{result.rules.metric} is {found[-1]:g}; "
            f"{result.rules.name} wants {result.rules.target:g}",
            "Correct it",
        )
