"""Verifies a compliance run and writes the files that a submission needs. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from data.accuracy import read_log, score
from data.datasets import list_samples
from sut.record.run_folder import ACCURACY_FILE, ACCURACY_LOG
from sut.submission.compliance import (
    SCORE_INVALID,
    TEST01,
    Verdict,
    verify_accuracy,
    verify_performance,
)
from sut.submission.layout import VERIFY_ACCURACY_FILE, VERIFY_PERFORMANCE_FILE
from sut.submission.runs import ACCURACY, PERFORMANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.tasks.base import Score
    from sut.submission.runs import Part

# Largest difference between the accuracies of logged responses and accuracy run, in percent.
DELTA_PERCENT = 1.0
_OTHER_SPEED = (
    "The speed is not that of the performance run. Free the machine, remove the folders of the "
    "runs, and start the same command again."
)
BASELINE_FILE, COMPLIANCE_FILE = "baseline_accuracy.txt", "compliance_accuracy.txt"


@dataclass(frozen=True, slots=True)
class Audit:
    """The verdict of one compliance test.

    Attributes:
        test: TEST01 or TEST04.
        performance: on the speed.
        accuracy: on the responses; None in TEST04.
        delta_percent: between the two accuracies if responses differ; else None.
    """

    test: str
    performance: Verdict
    accuracy: Verdict | None
    delta_percent: float | None = None

    @property
    def passed(self) -> bool:
        """Whether a submission may contain it."""
        same = self.accuracy is None or self.accuracy.passed
        near = self.delta_percent is not None and self.delta_percent <= DELTA_PERCENT
        return self.performance.passed and (same or near)

    @property
    def notes(self) -> list[str]:
        """What a person must know."""
        found = [] if self.accuracy is None or not self.accuracy.note else [self.accuracy.note]
        if self.delta_percent is not None:
            found.append(f"The two accuracies differ by {self.delta_percent:.3f} %.")
        if not self.performance.passed:
            said = self.performance.text.strip().splitlines()[-1]
            found.append(f"{said}. {_OTHER_SPEED}" if said == SCORE_INVALID else said)
        return [f"{self.test}: {note}" for note in found]


def verify(test: str, parts: Mapping[str, Part], benchmark: Benchmark, data: Path | None) -> Audit:
    """Verify a compliance run against the performance and the accuracy run.

    Writes verify_*.txt, and for TEST01 accuracy.txt, into the compliance run's folder.

    Raises:
        DataError: a log cannot be read.
    """
    folder = parts[test].folder
    performance = verify_performance(test, parts[PERFORMANCE].folder, folder)
    (folder / VERIFY_PERFORMANCE_FILE).write_text(performance.text, encoding="utf-8")
    if test != TEST01:
        return Audit(test, performance, None)
    reference, logged = parts[ACCURACY].folder / ACCURACY_LOG, folder / ACCURACY_LOG
    accuracy = verify_accuracy(reference, logged, np.float32)
    (folder / VERIFY_ACCURACY_FILE).write_text(accuracy.text, encoding="utf-8")
    labels = list_samples(benchmark, data).labels

    def rate(path: Path) -> Score:
        return score(path, labels, benchmark.accuracy)

    (folder / ACCURACY_FILE).write_text(rate(logged).line + "\n", encoding="utf-8")
    delta = None if accuracy.passed else _delta(reference, logged, folder, rate)
    return Audit(test, performance, accuracy, delta)


def _delta(reference: Path, logged: Path, folder: Path, rate: Callable[[Path], Score]) -> float:
    """Write the two accuracies of the non-deterministic path; return their difference."""
    seen = {record.qsl_idx for record in read_log(logged)}
    part = folder / "mlperf_log_accuracy_baseline.json"
    part.write_bytes(msgspec.json.encode([r for r in read_log(reference) if r.qsl_idx in seen]))
    baseline, found = rate(part), rate(logged)
    (folder / BASELINE_FILE).write_text(baseline.line + "\n", encoding="utf-8")
    (folder / COMPLIANCE_FILE).write_text(found.line + "\n", encoding="utf-8")
    return abs(1 - baseline.value / found.value) * 100 if found.value else 100.0
