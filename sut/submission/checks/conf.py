"""Checks of a result's user.conf: its lines, the closed division, and what LoadGen ran with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.config import user_conf
from sut.config.user_conf.keys import LIBRARY_OWN, SCENARIOS
from sut.record.loadgen_logs import read_detail
from sut.record.run_folder import USER_CONF_FILE
from sut.submission.checks.reading import read_text
from sut.submission.checks.result import INTERACTIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.record.loadgen_logs import DetailLog
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

# LoadGen's settings in a user.conf, and the record of the detail log that shows each.
_RECORDS = {
    "target_qps": "effective_target_qps",
    "min_duration": "effective_min_duration_ms",
    "max_duration": "effective_max_duration_ms",
    "max_query_count": "effective_max_query_count",
    "performance_sample_count_override": "effective_performance_sample_count",
}
_ROUNDING = 1e-5  # LoadGen logs six digits


def check_user_conf(result: Result, findings: Findings) -> None:
    """Check the user.conf beside a result's measurements."""
    path = result.place.measurements / USER_CONF_FILE
    scenario = result.loadgen_scenario
    text = read_text(path)
    if text is None or scenario not in SCENARIOS:
        return
    named = _models(text)
    reading = user_conf.read(text, str(path), named)
    for unread in reading.problems:
        what = f"line {unread.line}: {unread.text.strip('.?')}"
        findings.warn("user-conf", path, what, "Correct it")
    if not reading.problems and "\N{REPLACEMENT CHARACTER}" in text:
        line = text.count("\n", 0, text.index("\N{REPLACEMENT CHARACTER}")) + 1
        findings.warn("user-conf", path, f"line {line} is not UTF-8", "Save it as UTF-8")
    # Judge what LoadGen reads, even if other lines are wrong.
    conf, model = reading.conf, _loadgen_model(result, named)
    if result.closed:
        for problem in conf.closed_problems(model, scenario):
            # The rest of the line, without the file's name.
            what = problem.removeprefix(conf.source).strip(": .")
            findings.error("closed-user-conf", path, f"line {what}", "Run again without it")
    if result.performance is not None:
        # No rule says that the file must be the run's, and no official checker compares them.
        for what in _differing(result, result.performance, conf, model):
            findings.warn("user-conf-differs", path, what, "Put the user.conf of that run there")


def _differing(
    result: Result, log: DetailLog, conf: user_conf.UserConf, model: str
) -> Iterator[str]:
    """Yield the lines of a file that differ from LoadGen's settings in the log."""
    ran = str(log.get("effective_scenario"))  # another than the folder's in an inferred result
    entries = conf.effective(model, ran) if ran in SCENARIOS else {}
    differing = [entry for entry in entries.values() if _differs(entry, log)]
    audited = _compliance_log(result) if differing else None
    for entry in differing:
        found = log[_RECORDS[entry.key]]
        what = f"line {entry.line}: {entry.name} is {entry.value:g}, and LoadGen ran with {found}"
        of_audit = audited is not None and not _differs(entry, audited)
        yield what + ("; it is the user.conf of the compliance test" if of_audit else "")


def _differs(entry: user_conf.Entry, log: DetailLog) -> bool:
    """Tell a setting that a run did not have; False where the log does not show it."""
    found = log.get(_RECORDS.get(entry.key, ""))
    if not isinstance(found, int | float):
        return False
    if entry.key == "target_qps" and log.get("effective_scenario") == "Offline":
        return False
    if entry.key in LIBRARY_OWN and entry.value == 0:  # it asks for the library's own count
        return False
    return abs(found - entry.value) > _ROUNDING * abs(found)


def _compliance_log(result: Result) -> DetailLog | None:
    try:
        return read_detail(result.place.audit("TEST01") / "performance" / "run_1")
    except DataError:  # there is none, or a check of the compliance test says what is wrong
        return None


def _loadgen_model(result: Result, named: set[str]) -> str:
    """Return the model's name in user.conf: its folder may have the checker's, or an alias."""
    base = re.sub(r"-\d\d(\.\d)?$", "", result.model)
    official = result.rules.loadgen_name if result.rules is not None else base
    plain = official.replace("llama3.1", "llama3_1")
    names = [plain, official, result.place.benchmark]
    if result.scenario == INTERACTIVE:
        names.insert(0, f"{plain}-interactive")
    return next((name for name in names if name in named), names[0])


def _models(text: str) -> set[str]:
    """Return the models that a file names: another submitter's are not known here."""
    return set(re.findall(r"^\s*([^#\s]+)\.[^.\s]+\.[^.\s]+\s*=", text, re.MULTILINE))
