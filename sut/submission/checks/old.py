"""Checks of a tree of v0.5 (2019), whose logs have another form: files, verdicts, accuracy.

Source: mlcommons/inference, v0.5/tools/submission/submission-checker.py; the seeds, which that one
did not compare, from the checker of the round after it.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE, read_summary_text
from sut.record.run_folder import ACCURACY_FILE, USER_CONF_FILE
from sut.submission import system as system_json
from sut.submission.checks.reading import figures, read_text
from sut.submission.checks.result import measurements_file
from sut.submission.layout import README_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result
    from sut.submission.layout import Submitter

_MEASURED = ("mlperf.conf", USER_CONF_FILE, README_FILE)
# Fields that a system description must have, and must not leave empty.
_SYSTEM = (
    "division", "submitter", "status", "system_name", "number_of_nodes",
    "host_processor_model_name", "host_processors_per_node", "host_memory_capacity",
    "host_storage_capacity", "host_storage_type", "accelerators_per_node",
    "accelerator_model_name", "accelerator_memory_capacity", "framework", "operating_system",
    "other_software_stack",
)  # fmt: skip
_SEED = re.compile(r" : ((?:qsl|sample_index|schedule)_rng_seed) : (\d{1,20})$", re.MULTILINE)
_PAIR = re.compile(r"^(\w[\w ]*\w) *: (.*)$", re.MULTILINE)


def check_old_system(submitter: Submitter, name: str, findings: Findings) -> None:
    """Check systems/NAME.json of v0.5."""
    path = submitter.system(name)
    try:
        system = system_json.read(path)
    except DataError as error:
        why = str(error).removeprefix(str(path)).strip(": .")
        findings.error("system-missing", path, why, "Describe the system there")
        return
    for field in _SYSTEM:
        if str(system.get(field, "")).strip() == "":
            findings.error("system-blank", path, f'field "{field}" is empty', "Fill it in")
    for field, expected in (("submitter", submitter.name), ("division", submitter.division)):
        found = str(system.get(field, ""))
        if found and _letters(found) != _letters(expected):
            findings.error(
                "system-folder",
                path,
                f'{field} is "{found}", and the folder "{expected}"',
                "Correct one of them",
            )


def _letters(name: str) -> str:
    """Return a name without what submitters write in more than one way: "DELL EMC", "DellEMC"."""
    return re.sub(r"[\W_]", "", name).lower()


def check_old(result: Result, findings: Findings) -> None:
    """Check one result of v0.5."""
    runs = result.round.server_runs if result.scenario == "Server" else 1
    for number in range(1, runs + 1):
        _check_run(result, result.place.performance(number), findings)
    for name in _MEASURED:
        path = result.place.measurements / name
        if not path.is_file():
            findings.error("file-missing", path, "it is missing", "Write it")
    if not measurements_file(result.place).is_file():
        findings.error(
            "measurements-missing",
            result.place.measurements,
            f"there is no {result.place.system}*.json in it",
            "Write it",
        )
    _check_accuracy(result, findings)


def _check_run(result: Result, folder: Path, findings: Findings) -> None:
    path = folder / SUMMARY_FILE
    if not path.is_file() or not path.stat().st_size:
        findings.error("summary-missing", path, "there is no such run", "Run it")
        return
    pairs = _PAIR.findall(read_summary_text(path).replace("\0", ""))
    said: dict[str, str] = dict(pairs)
    verdicts = [text.strip() for name, text in pairs if name == "Result is"]
    if not verdicts or set(verdicts) != {"VALID"}:
        what = " and ".join(dict.fromkeys(verdicts)) or "nothing of VALID"
        findings.error("invalid-result", path, f"it says {what}", "Run it again")
    scenario = re.sub(r"\W", "", said.get("Scenario", ""))
    if scenario != result.scenario:
        findings.error(
            "wrong-scenario",
            path,
            f"it is a run of {said.get('Scenario')}; expected {result.scenario}",
            "Put the right log there",
        )
    if "qsl_rng_seed" not in said:  # the summary does not state the settings
        said |= dict(_SEED.findall(read_text(folder / DETAIL_FILE) or ""))
    for name, expected in asdict(result.round.seeds).items():
        found = said.get(name, "").strip()
        if found != str(expected):
            findings.error(
                "wrong-seed",
                path,
                f"{name} is {found or 'not stated'}; {result.round.name} has {expected}",
                "Run it with the LoadGen of that round, or check with its --round",
            )
    count = re.match(r"\d{1,15}\b", said.get("performance_sample_count", ""))
    if count and result.rules and int(count[0]) < result.rules.performance_sample_count:
        findings.error(
            "sample-count",
            path,
            f"LoadGen held {count[0]} samples; expected "
            f"{result.rules.performance_sample_count} or more",
            "Run it again",
        )


def _check_accuracy(result: Result, findings: Findings) -> None:
    path = result.place.accuracy / ACCURACY_FILE
    text = read_text(path)
    if text is None:
        findings.error("accuracy-missing", path, "there is no accuracy.txt", "Write it")
        return
    if result.rules is None or not result.closed:
        return
    try:
        found = figures(result.rules.metric, text)
    except ValueError as error:
        findings.error("accuracy-unreadable", path, str(error), "Write it")
        return
    if min(found) < result.rules.target:
        findings.error(
            "accuracy-low",
            path,
            f"{result.rules.metric} is {min(found):g}; "
            f"{result.rules.name} requires {result.rules.target:g}",
            "Correct it",
        )
