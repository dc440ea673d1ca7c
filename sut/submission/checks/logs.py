"""Checks of LoadGen's logs: verdict, errors, settings, and differences between the two runs."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from sut.record.loadgen_logs import SUMMARY_FILE, read_summary_text

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.loadgen_logs import DetailLog
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result

_STREAMS = ("SingleStream", "MultiStream", "Server")
_INFERRED = (
    ("SingleStream", "MultiStream"),
    ("MultiStream", "Offline"),
    ("SingleStream", "Offline"),
)
_NS_PER_MS = 1_000_000
# What must be the same in the performance and in the accuracy run.
_LOADED = "effective_performance_sample_count"
_SAME = ("sut_name", _LOADED)
_AUDIT_SETTINGS = {
    "TEST01": ("accuracy_log_rng_seed", "accuracy_log_sampling_target", "accuracy_log_probability"),
    "TEST04": ("performance_issue_same", "performance_issue_unique"),
}
_SAME_IN_SERVER = ("effective_target_latency_ns",)


def check_logs(result: Result, findings: Findings) -> None:
    """Check both runs of a result."""
    if result.performance is not None:
        log, path = result.performance, result.performance_detail
        check_performance(result, log, path, findings)
        _check_audit_settings(log, path, findings)
        _check_scenario(result, log, findings)
        _check_summary(path.parent, log, findings)
    if result.accuracy is not None:
        _check_accuracy_run(result, result.accuracy, findings)
    if result.performance is not None and result.accuracy is not None:
        _check_same(result, result.performance, result.accuracy, findings)


def check_performance(result: Result, log: DetailLog, path: Path, findings: Findings) -> None:
    """Check a performance log, also of a compliance test."""
    if log.get("effective_test_mode") != "PerformanceOnly":
        findings.error(
            "wrong-mode",
            path,
            f"its mode is {log.get('effective_test_mode')}; expected PerformanceOnly",
            "Put the performance run's log there",
        )
        return
    if log.validity != "VALID":
        why = " ".join(str(log.get("result_invalid_reason", "")).split())
        findings.error(
            "invalid-result",
            path,
            f"LoadGen calls it INVALID. {why}".strip(". "),
            "Run it again, with the settings that `sut run` advises",
        )
    if log.errors:
        findings.error(
            "loadgen-errors",
            path,
            f"LoadGen logged {len(log.errors)} error(s): {' '.join(log.errors[0].split())}",
            "Remove the cause and run it again",
        )
    counted = log.get("num_errors")
    if isinstance(counted, int) and counted != len(log.errors):
        findings.error(
            "log-altered",
            path,
            f"LoadGen counted {counted} errors, but {len(log.errors)} records say that they are "
            "errors: it is not as LoadGen wrote it",
            "Put the log of the run there as it is, or run it again",
        )
    if log.get("result_min_duration_met") is False:
        findings.error(
            "too-short", path, "the minimum duration was not met", "Run it again, longer"
        )
    _check_seeds(result, log, path, findings)
    _check_counts(result, log, path, findings)
    _check_latency(result, log, path, findings)


def _check_seeds(result: Result, log: DetailLog, path: Path, findings: Findings) -> None:
    for name, expected in asdict(result.round.seeds).items():
        found = log.get(f"effective_{name}")
        if found != expected:
            findings.error(
                "wrong-seed",
                path,
                f"{name} is {found}; {result.round.name} has {expected}",
                "Run it with the LoadGen of that round, or check with its --round",
            )


def _check_counts(result: Result, log: DetailLog, path: Path, findings: Findings) -> None:
    minimum_ms = result.round.min_duration_ms
    duration_ms = _number(log, "effective_min_duration_ms")
    if duration_ms < minimum_ms:
        findings.error(
            "duration-setting",
            path,
            f"min_duration is {duration_ms:g} ms; expected {minimum_ms} or more",
            "Remove min_duration from user.conf",
        )
    if result.rules is None:
        return
    needed = result.rules.performance_sample_count
    loaded = _number(log, "effective_performance_sample_count")
    if loaded < needed:
        findings.error(
            "sample-count",
            path,
            f"LoadGen held {loaded:g} samples; expected {needed} or more",
            "Use the whole data set, and leave the override out",
        )
    real = _number(log, "qsl_reported_total_count")
    if loaded > real:
        findings.error(
            "count-not-real",
            path,
            f"it states {loaded:g} samples, but the data set has {real:g}",
            "Use the whole data set",
        )
    samples = _number(log, "effective_samples_per_query")
    if log.get("effective_scenario") == "Offline" and samples < result.rules.offline_samples:
        findings.error(
            "offline-samples",
            path,
            f"its query has {samples:g} samples; expected {result.rules.offline_samples} or more",
            "Raise target_qps",
        )


def _check_latency(result: Result, log: DetailLog, path: Path, findings: Findings) -> None:
    scenario = str(log.get("effective_scenario"))
    if scenario in _STREAMS and log.get("early_stopping_met") is not True:
        findings.error(
            "early-stopping",
            path,
            "early stopping is not met",
            "Run it longer, or lower target_qps",
        )
    rules = result.rules
    if scenario != "Server" or rules is None or rules.server_bound_ms is None:
        return
    found_ns = _number(log, "effective_target_latency_ns", math.inf)
    if found_ns > rules.server_bound_ms * _NS_PER_MS:
        findings.error(
            "latency-bound",
            path,
            f"the bound is {found_ns / _NS_PER_MS:g} ms (inf: the log has none); {rules.name} has "
            f"{rules.server_bound_ms} ms",
            "Remove target_latency from user.conf and run it again",
        )


def _check_audit_settings(log: DetailLog, path: Path, findings: Findings) -> None:
    """Refuse a performance run with an audit.config."""
    for tests, keys in _AUDIT_SETTINGS.items():
        found = [key for key in keys if log.get(f"effective_{key}")]
        if found:
            findings.error(
                "audit-settings",
                path,
                f"{found[0]} is {log.get(f'effective_{found[0]}')}, as in {tests}",
                "Run it without an audit.config",
            )


def _check_scenario(result: Result, log: DetailLog, findings: Findings) -> None:
    found, path = str(log.get("effective_scenario")), result.performance_detail
    if found in (result.scenario, result.loadgen_scenario):
        return
    edge = "edge" in str(result.system.get("system_type", "")).lower()
    if (found, result.scenario) in _INFERRED and edge:
        findings.warn(
            "inferred",
            path,
            f"{result.scenario} is inferred from {found}",
            f"Run {result.scenario} itself where you can",
        )
        return
    findings.error(
        "wrong-scenario",
        path,
        f"it is a run of {found}; expected {result.scenario}",
        "Put the right log there",
    )


def _check_summary(folder: Path, log: DetailLog, findings: Findings) -> None:
    path = folder / SUMMARY_FILE
    if not path.is_file() or not path.stat().st_size:
        findings.error(
            "summary-missing",
            path,
            "there is no summary beside the detail log",
            "Copy it from the run",
        )
        return
    said = re.findall(r"^Result is : (\w+)", read_summary_text(path), re.MULTILINE)
    if said != [log.validity]:
        findings.error(
            "summary-differs",
            path,
            f"it says {' and '.join(said) or 'nothing'}, and the detail log {log.validity}",
            "Copy both from the same run",
        )


def _check_accuracy_run(result: Result, log: DetailLog, findings: Findings) -> None:
    path = result.accuracy_detail
    if log.get("effective_test_mode") != "AccuracyOnly":
        findings.error(
            "wrong-mode",
            path,
            f"its mode is {log.get('effective_test_mode')}; expected AccuracyOnly",
            "Put the accuracy run's log there",
        )
    if log.errors:
        findings.error(
            "loadgen-errors",
            path,
            f"LoadGen logged {len(log.errors)} error(s): {' '.join(log.errors[0].split())}",
            "Remove the cause and run it again",
        )
    if not (path.parent / SUMMARY_FILE).is_file():
        findings.error(
            "summary-missing",
            path.parent / SUMMARY_FILE,
            "there is no summary beside the detail log",
            "Copy it from the run",
        )
    real = _number(log, "qsl_reported_total_count")
    key = "effective_accuracy_sample_count"
    stated = _number(log, key, -1.0) if key in log.records else real
    if stated > real:
        findings.error(
            "count-not-real",
            path,
            f"it states {stated:g} samples, but the data set has {real:g}",
            "Use the whole data set",
        )
    if result.rules is not None and min(stated, real) != result.rules.dataset_size:
        findings.error(
            "data-set-size",
            path,
            f"{min(stated, real):g} samples were run; "
            f"{result.rules.name} has {result.rules.dataset_size}",
            "Run the accuracy test on the whole data set",
        )


def _check_same(
    result: Result, performance: DetailLog, accuracy: DetailLog, findings: Findings
) -> None:
    """Compare the settings of the two runs."""
    names = _SAME + (_SAME_IN_SERVER if result.scenario == "Server" else ())
    if result.rules is None:  # other benchmarks may hold the whole set in an accuracy run
        names = tuple(name for name in names if name != _LOADED)
    for name in names:
        one, other = performance.get(name), accuracy.get(name)
        if one != other:
            findings.error(
                "settings-differ",
                result.accuracy_detail,
                f"{name.removeprefix('effective_')} is {other}, and {one} in the performance run",
                "Run both with the same settings",
            )
    if accuracy.get("effective_scenario") != performance.get("effective_scenario"):
        findings.error(
            "settings-differ",
            result.accuracy_detail,
            "its scenario is "
            f"{accuracy.get('effective_scenario')}, and {performance.get('effective_scenario')} in "
            "the performance run",
            "Put the accuracy run of the same scenario there",
        )


def _number(log: DetailLog, key: str, otherwise: float = 0.0) -> float:
    value = log.get(key)
    return value if isinstance(value, int | float) else otherwise
