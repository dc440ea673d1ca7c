"""Checks of the compliance tests: present, passed, and consistent with the result's own logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sut.base.errors import DataError, SutError
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE, read_detail
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.audit import BASELINE_FILE, COMPLIANCE_FILE, DELTA_PERCENT
from sut.submission.checks.accuracy import check_hash, check_log
from sut.submission.checks.logs import check_performance
from sut.submission.checks.reading import PATTERNS, figures, read_text
from sut.submission.compliance import PASS, TEST01, TEST04, verify_performance
from sut.submission.layout import VERIFY_ACCURACY_FILE, VERIFY_PERFORMANCE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.loadgen_logs import DetailLog
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

# What its audit.config sets.
_SETTING = {TEST01: "accuracy_log_sampling_target", TEST04: "performance_issue_same"}
# What a compliance run has in common with the performance run of the same benchmark.
_SAME = ("effective_scenario", "qsl_reported_total_count", "effective_performance_sample_count")
_SCORE = re.compile(r"^(\w+ score) = (\d+(?:\.\d+)?(?:e[+-]?\d{1,2})?)\s*$", re.M | re.I)
# A verdict made for an earlier performance run is a few percent off, one of another benchmark more.
_OTHER_FIGURE, _ROUNDING = 0.1, 1e-4
_OTHER_ACCURACY = 0.25  # the 64 to 4096 responses of TEST01 give a figure less than this away
_LOGS = {DETAIL_FILE, SUMMARY_FILE}
_OPTIONAL = {ACCURACY_LOG, "mlperf_log_trace.json"}


def check_compliance(result: Result, originals: Path | None, findings: Findings) -> None:
    """Check every compliance test that the round requires."""
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
        _check_settings(result, test, log, run, findings)
        verified = verify_performance(test, result.place.performance(), run)
    except SutError as error:
        findings.error("audit-files", run, str(error).strip("."), f"Copy the logs of {test} again")
        return
    if log.runs > 1:
        findings.error("audit-files", run, f"its log holds {log.runs} runs", f"Run {test} again")
    if not verified.passed:
        findings.error(
            "audit-differs",
            run,
            "its speed does not pass against performance/run_1",
            f"Run {test} again, after the performance run",
        )
    _check_scores(verdict, verified.text, test, findings)


def _check_settings(
    result: Result, test: str, log: DetailLog, run: Path, findings: Findings
) -> None:
    """Check that the log is one of this test, and of this benchmark."""
    key = _SETTING[test]
    if not log.get(f"effective_{key}", test == TEST01):
        findings.error(
            "audit-settings",
            run,
            f"{key} is not set, as {test} sets it",
            f"Run {test} with its audit.config",
        )
    if result.performance is None:
        return
    for key in _SAME:
        one, other = result.performance.get(key), log.get(key)
        if one != other:
            findings.error(
                "audit-differs",
                run,
                f"{key.removeprefix('effective_')} is {other}, and {one} in the performance run: "
                "it is a run of another scenario, benchmark or data set",
                f"Run {test} of this benchmark",
            )


def _check_scores(path: Path, expected: str, test: str, findings: Findings) -> None:
    """Compare the figures that verify_performance.txt states with those of the logs."""
    stated = _numbers(read_text(path) or "")
    for (name, value), (_, right) in zip(stated, _numbers(expected), strict=False):
        off = abs(value - right) / max(abs(right), 1e-9)
        if off > _OTHER_FIGURE:
            findings.error(
                "audit-differs",
                path,
                f"its {name} is {value:g}, but {right:g} in the logs: it belongs to another run",
                f"Run `sut audit {test}`",
            )
        elif off > _ROUNDING:
            findings.warn(
                "audit-differs",
                path,
                f"its {name} is {value:g}, but {right:g} in the logs",
                f"Verify {test} again with these logs",
            )


def _numbers(text: str) -> list[tuple[str, float]]:
    return [(name.lower(), float(value)) for name, value in _SCORE.findall(text)]


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
        check_log(accuracy, findings)
    else:
        whole = None if originals is None else originals / result.place.key / TEST01
        check_hash(accuracy, text, whole, findings)
        _check_benchmark(result, path, text, findings)
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
    for name in (BASELINE_FILE, COMPLIANCE_FILE):
        _check_benchmark(result, accuracy / name, read_text(accuracy / name) or "", findings)
    delta = abs(1 - one / other) * 100 if other else 100.0
    if delta > DELTA_PERCENT:
        findings.error(
            "audit-failed",
            accuracy,
            f"the two accuracies differ by {delta:.2f} %; at most {DELTA_PERCENT:g} are allowed",
            "Make the engine deterministic",
        )


def _check_benchmark(result: Result, path: Path, text: str, findings: Findings) -> None:
    """Check that a figure of TEST01, if there is one, belongs to this benchmark.

    It comes from a part of the data, so it only has to be near the figure of the whole.
    """
    assert result.rules is not None, "the caller has looked"
    metric = result.rules.metric
    stated = {name: found for name in PATTERNS if (found := _readable(name, text))}
    if stated and metric not in stated:
        wrong = f"it states {', '.join(stated)}; {result.rules.name} has {metric}"
    else:
        whole = _readable(metric, read_text(result.place.accuracy / ACCURACY_FILE) or "")
        part = stated.get(metric)
        if not whole or not part or abs(part[-1] - whole[-1]) <= _OTHER_ACCURACY * whole[-1]:
            return
        wrong = f"{metric} is {part[-1]:g}, and {whole[-1]:g} in the accuracy run"
    findings.error(
        "audit-failed",
        path,
        f"{wrong}: it belongs to another benchmark",
        "Run `sut audit TEST01` of this benchmark",
    )


def _readable(metric: str, text: str) -> list[float]:
    """Return the figures of a text; none if it states none that can be read."""
    try:
        return figures(metric, text)
    except ValueError:
        return []


def _figure(result: Result, path: Path) -> float:
    assert result.rules is not None, "the caller has looked"
    text = read_text(path)
    if text is None:
        raise DataError(f"{path.name} is missing")
    try:
        return figures(result.rules.metric, text)[-1]
    except ValueError as error:
        raise DataError(f"{path.name}: {error}") from error
