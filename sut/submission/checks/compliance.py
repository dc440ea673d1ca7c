"""Checks of the compliance tests: that they are there, passed, and fit the result's own logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.base.errors import DataError, SutError
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE, read_detail
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.audit import BASELINE_FILE, COMPLIANCE_FILE, DELTA_PERCENT
from sut.submission.checks.accuracy import check_hash
from sut.submission.checks.logs import check_performance
from sut.submission.checks.reading import figures, read_text
from sut.submission.compliance import PASS, TEST01, TEST04, TESTS, verify_performance
from sut.submission.layout import VERIFY_ACCURACY_FILE, VERIFY_PERFORMANCE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

_LOGS = {DETAIL_FILE, SUMMARY_FILE}
_OPTIONAL = {ACCURACY_LOG, "mlperf_log_trace.json"}


def check_compliance(result: Result, originals: Path | None, findings: Findings) -> None:
    """Check every compliance test that the round asks for."""
    if not result.closed or result.rules is None:
        return
    for test in result.rules.audits:
        folder = result.place.audit(test)
        if not folder.is_dir():
            findings.error(
                "audit-missing", folder, f"there is no {test}", f"Run `sut audit {test}`"
            )
            continue
        _check_speed(result, test, folder, findings)
        if test == TEST01:
            _check_responses(result, folder, originals, findings)


def _check_speed(result: Result, test: str, folder: Path, findings: Findings) -> None:
    run, verdict = folder / "performance" / "run_1", folder / VERIFY_PERFORMANCE_FILE
    _passed(verdict, test, findings)
    missing = sorted(name for name in _LOGS if not (run / name).is_file())
    if missing:
        findings.error(
            "audit-files", run, f"{', '.join(missing)} missing", f"Copy the logs of {test}"
        )
        return
    extra = {path.name for path in run.iterdir()} - _LOGS - _OPTIONAL
    if extra:
        findings.error("extra-file", run, f"holds {', '.join(sorted(extra))}", "Remove it")
    try:
        log = read_detail(run)
        check_performance(result, log, run / DETAIL_FILE, findings)
        same = bool(log.get("effective_performance_issue_same"))
        if test == TEST04 and not same:
            findings.error(
                "audit-settings",
                run,
                "one sample was not issued over and over",
                f"Run {TEST04} with its audit.config",
            )
        reference = result.place.performance()
        if test in TESTS and not verify_performance(test, reference, run).passed:
            findings.error(
                "audit-differs",
                run,
                "its speed does not pass against performance/run_1",
                f"Run {test} again, after the performance run",
            )
    except SutError as error:
        findings.error("audit-files", run, str(error).strip("."), f"Copy the logs of {test} again")


def _passed(path: Path, test: str, findings: Findings) -> bool:
    text = read_text(path)
    if text is None:
        findings.error("audit-files", path, "it is missing", f"Run `sut audit {test}`")
        return False
    if PASS in [line.strip() for line in text.splitlines()]:
        return True
    if path.name == VERIFY_PERFORMANCE_FILE:
        findings.error("audit-failed", path, f'no line says "{PASS}"', f"Run `sut audit {test}`")
    return False


def _check_responses(
    result: Result, folder: Path, originals: Path | None, findings: Findings
) -> None:
    accuracy = folder / "accuracy"
    path = accuracy / ACCURACY_FILE
    text = read_text(path)
    if text is None:
        findings.error("audit-files", path, "it is missing", "Run `sut audit TEST01`")
    else:
        whole = None if originals is None else originals / result.place.key / TEST01
        check_hash(accuracy, text, whole, findings)
    if _passed(folder / VERIFY_ACCURACY_FILE, TEST01, findings):
        return
    if not (folder / VERIFY_ACCURACY_FILE).is_file():
        return
    try:
        one, other = (_figure(result, accuracy / n) for n in (BASELINE_FILE, COMPLIANCE_FILE))
    except DataError as error:
        findings.error(
            "audit-failed",
            folder / VERIFY_ACCURACY_FILE,
            f"responses differ between accuracy and performance mode, and {error}",
            "Run `sut audit TEST01`",
        )
        return
    delta = abs(1 - one / other) * 100 if other else 100.0
    if delta > DELTA_PERCENT:
        findings.error(
            "audit-failed",
            accuracy,
            f"the two accuracies differ by {delta:.2f} %; at most {DELTA_PERCENT:g} are allowed",
            "Make the engine deterministic",
        )


def _figure(result: Result, path: Path) -> float:
    assert result.rules is not None, "the caller has looked"
    text = read_text(path)
    if text is None:
        raise DataError(f"{path.name} is missing")
    try:
        return figures(result.rules.metric, text)[-1]
    except ValueError as error:
        raise DataError(f"{path.name}: {error}") from error
