"""Compliance tests: the audit.config of each, and the verdict on what they measured.

The verdicts are those of mlcommons/inference, compliance/TEST01 and TEST04, run_verification.py;
so are the texts, because the submission checker reads them. They compare only the first number of a
response; a note beside the verdict reports differences in the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.accuracy import read_log
from scenarios import scenario, scenario_names
from sut.base.errors import ConfigError, DataError, nearest
from sut.record.loadgen_logs import DETAIL_FILE, SUMMARY_FILE, read_detail, read_summary_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike

    from sut.record.loadgen_logs import DetailLog

TEST01, TEST04 = "TEST01", "TEST04"
TESTS = (TEST01, TEST04)
PASS = "TEST PASS"
SCORE_INVALID = "TEST FAIL: Test score invalid"
_RNG_SEED = 720381539243781796
_SAME_INDEX = 3

_THRESHOLD, _WIDE_THRESHOLD = 0.10, 0.20
# Latencies, in ns, up to which the wide threshold holds.
_SHORT_NS = {"SingleStream": 200_000, "MultiStream": 1_600_000}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and the text that goes into verify_*.txt.

    Attributes:
        passed: as in the official script.
        text: its lines.
        note: what the official script does not see; empty if nothing.
    """

    passed: bool
    text: str
    note: str = ""


def known_test(name: str) -> str:
    """Return the name of a compliance test in capitals.

    Raises:
        ConfigError: there is none of that name.
    """
    if name.upper() not in TESTS:
        raise ConfigError(
            f'"{name}" is not a compliance test of a vision benchmark; expected one of '
            f"{', '.join(TESTS)}.{nearest(name, TESTS)}"
        )
    return name.upper()


def audit_config(test: str, samples: int) -> str:
    """Return the text of a test's audit.config.

    Args:
        test: a name of TESTS.
        samples: responses that TEST01 asks LoadGen to log.
    """
    if test == TEST01:
        return (
            "*.*.mode = 2\n"
            f"*.*.accuracy_log_rng_seed = {_RNG_SEED}\n"
            f"*.*.accuracy_log_sampling_target = {samples}\n"
        )
    keys = {
        "mode": 2,
        "performance_issue_unique": 0,
        "performance_issue_same": 1,
        "performance_issue_same_index": _SAME_INDEX,
    }
    return "".join(
        f"*.{s}.{key} = {value}\n" for s in scenario_names() for key, value in keys.items()
    )


def verify_accuracy(reference: Path, test: Path, dtype: DTypeLike = np.float32) -> Verdict:
    """Compare the responses that TEST01 logged in performance mode with the accuracy run's.

    Args:
        reference: mlperf_log_accuracy.json of the accuracy run, whole.
        test: the log of TEST01.
        dtype: of a response; the official verdict looks at its first number.

    Raises:
        DataError: a log cannot be read, or does not hold such numbers.
    """
    accuracy, performance = read_log(reference), read_log(test)
    known: dict[int, str] = {}
    duplicates = differing = 0
    for response in accuracy:
        if response.qsl_idx in known:
            duplicates += 1
            differing += known[response.qsl_idx] != response.data
        else:
            known[response.qsl_idx] = response.data
    matched = mismatched = missing = unequal = 0
    for response in performance:
        expected = known.get(response.qsl_idx)
        # The official script goes on with the later response, so a third one is compared with it.
        known[response.qsl_idx] = response.data
        if expected is None:
            missing += 1
            continue
        matched += 1
        unequal += expected != response.data
        mismatched += not _first_equal(expected, response.data, dtype, test)
    passed = mismatched == 0 and matched > 0
    counts = {
        "num_acc_log_entries": len(accuracy),
        "num_acc_log_duplicate_keys": duplicates,
        "num_acc_log_data_mismatch": differing,
        "num_perf_log_entries": len(performance),
        "num_perf_log_qsl_idx_match": matched,
        "num_perf_log_data_mismatch": mismatched,
        "num_missing_qsl_idxs": missing,
    }
    lines = [
        "Verifying accuracy. This might take a while...",
        "Reading accuracy mode results...",
        "Reading performance mode results...",
        *(f"{name} = {value}" for name, value in counts.items()),
        PASS if passed else "TEST FAIL",
    ]
    return Verdict(passed, "\n".join(lines) + "\n\n", _bits(passed, unequal, matched))


def verify_performance(test_name: str, reference: Path, test: Path) -> Verdict:
    """Compare a compliance run's speed with the performance run's.

    Args:
        test_name: a name of TESTS.
        reference: folder of the performance run's logs.
        test: folder of the compliance run's.

    Raises:
        DataError: a log cannot be read.
    """
    if test_name == TEST01:
        return _test01_performance(reference, test)
    return _test04_performance(reference, test)


def _bits(passed: bool, unequal: int, matched: int) -> str:
    if not passed:
        return (
            f"{unequal} of {matched} responses differ between accuracy and performance mode, so "
            "the non-deterministic path is needed: baseline_accuracy.txt and "
            "compliance_accuracy.txt within 1 %. Make the engine deterministic, or explain why it "
            "is not."
        )
    if unequal:
        return (
            f"{unequal} of {matched} responses differ beyond their first number, which the "
            "official verification does not see: the engine is not bit-identical."
        )
    return ""


def _first_equal(expected: str, found: str, dtype: DTypeLike, where: Path) -> bool:
    if expected == found:
        return True
    try:
        one, other = (np.frombuffer(bytes.fromhex(text), dtype) for text in (expected, found))
    except ValueError as error:
        raise DataError(f"{where}: a response is not made of {np.dtype(dtype).name}.") from error
    if one.size == 0 or other.size == 0:
        return one.size == other.size
    return bool(one[0] == other[0])


def _test01_performance(reference: Path, test: Path) -> Verdict:
    begin = "Verifying performance.\n"
    logs = [(folder / DETAIL_FILE, read_detail(folder)) for folder in (reference, test)]
    for path, log in logs:
        if log.validity != "VALID":
            return Verdict(False, f"{begin}TEST FAIL: Invalid results in {path}\n")
    one, other = (log for _, log in logs)
    name = _scenario(one)
    if _scenario(other) != name:
        return Verdict(False, f"{begin}TEST FAIL: Test and reference scenarios do not match!\n")
    bound = "effective_target_latency_ns"
    if name == "Server" and one.get(bound) != other.get(bound):
        return Verdict(False, f"{begin}TEST FAIL: Server target latency mismatch\n")
    expected, found = _score(one, name), _score(other, name)
    wide = expected <= _SHORT_NS.get(name, -1)
    threshold = _WIDE_THRESHOLD if wide else _THRESHOLD
    passed = expected * (1 - threshold) <= found <= expected * (1 + threshold)
    scores = f"Reference score = {expected}\nTest score = {found}\n"
    end = PASS if passed else SCORE_INVALID
    return Verdict(passed, f"{begin}{scores}{end}\n")


def _test04_performance(reference: Path, test: Path) -> Verdict:
    """Read the summaries, as the official script does; a stream's score is queries a second."""
    begin = "Verifying performance.\n"
    one, other = (_Summary.read(folder) for folder in (reference, test))
    for summary, name in ((one, "Reference"), (other, "Test")):
        if not summary.valid:
            return Verdict(False, f"{begin}TEST FAIL: {name} results are invalid\n")
    if one.scenario != other.scenario:
        return Verdict(False, f"{begin}Test and reference scenarios do not match!\n")
    scores = f"reference score = {one.score}\ntest score = {other.score}\n"
    # The official script compares queries a second with limits meant for ns: nearly all are below.
    wide = one.score <= _SHORT_NS.get(one.scenario, -1)
    passed = other.score < one.score * (1 + (_WIDE_THRESHOLD if wide else _THRESHOLD))
    end = PASS if passed else SCORE_INVALID
    return Verdict(passed, f"{begin}{scores}{end}\n")


@dataclass(frozen=True, slots=True)
class _Summary:
    """What TEST04 reads in mlperf_log_summary.txt."""

    scenario: str
    score: float
    valid: bool

    @classmethod
    def read(cls, folder: Path) -> _Summary:
        """Read the folder's summary."""
        pairs = [
            (name.strip(), value.strip())
            for name, colon, value in (
                line.partition(": ") for line in read_summary_text(folder).splitlines()
            )
            if colon
        ]
        values = dict(pairs)
        scenario = values.get("Scenario", "")
        pattern = _SUMMARY_SCORES.get(scenario)
        found = [value for name, value in pairs if pattern and re.fullmatch(pattern, name)]
        valid = values.get("Result is") != "INVALID"
        if valid and not found:  # the official script takes 0 for it, and lets such a test pass
            raise DataError(
                f'{folder / SUMMARY_FILE}: no score of scenario "{scenario}"; expected the summary '
                "that LoadGen wrote. Run the test again."
            )
        try:
            score = float(found[-1]) if found else 0.0
        except ValueError as error:
            raise DataError(
                f'{folder / SUMMARY_FILE}: the score is "{found[-1]}"; expected a number.'
            ) from error
        if scenario in _SHORT_NS and score:
            score = 1e9 / score
        return cls(scenario, score, valid)


_SUMMARY_SCORES = {
    "SingleStream": r".*Early stopping (90th|90\.0th|99\.9th) percentile estimate",
    "MultiStream": r".*Early stopping (99th|99\.0th) percentile estimate",
    "Server": r"Completed samples per second",
    "Offline": r"Samples per second",
}


def _scenario(log: DetailLog) -> str:
    return str(log.get("effective_scenario"))


def _score(log: DetailLog, name: str) -> float:
    key = scenario(name).metric_name if name in scenario_names() else "score"
    value = log.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name}: the log has no {key}.")
    return float(value)
