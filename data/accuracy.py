"""Judge LoadGen's accuracy log against the labels, in the way of MLPerf's accuracy scripts.

The first record of a sample counts. The task of the benchmark knows what an answer is and how to
judge it. Runs no model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from data.tasks import judge_of
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from data.schema import AccuracyRule
    from data.tasks.base import Answer, Label, Score

# With fewer samples, a 95 % interval at 76 % is wider than +-1.2 points. MLPerf's target is only
# 0.76 points below the accuracy of the model, so a verdict would be luck.
MIN_SAMPLES_FOR_VERDICT = 5000


class LogRecord(msgspec.Struct, frozen=True):
    """One record of mlperf_log_accuracy.json; `data` is hexadecimal."""

    seq_id: int
    qsl_idx: int
    data: str


def score(path: Path, labels: Sequence[Label] | None, rule: AccuracyRule) -> Score:
    """Score `mlperf_log_accuracy.json` at `path`.

    Args:
        path: the log of an accuracy run.
        labels: the right answer to each sample of the data set; None: unknown.
        rule: metric and target. A verdict needs all samples of the official data set, or
            MIN_SAMPLES_FOR_VERDICT if there is no official one.

    Raises:
        ConfigError: a package is missing that the metric needs.
        DataError: no labels; a missing, truncated or broken log; a record that holds no answer, or
            is of a sample that the data set does not have.
    """
    judge = judge_of(rule.metric)
    judge.check_ready()
    if labels is None:
        raise DataError(f"{path}: the data set has no labels; expected labels to score it against.")
    found = judge.score(_first_answers(path, len(labels), judge.read_answer), labels)
    enough = found.n == rule.count if rule.count else found.n >= MIN_SAMPLES_FOR_VERDICT
    verdict = found.value >= rule.target if enough and rule.target is not None else None
    return replace(found, target=rule.target, verdict=verdict)


def read_log(path: Path) -> list[LogRecord]:
    """Return the records of an accuracy log.

    Raises:
        DataError: it cannot be read, or is not whole.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[LogRecord])
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{path}: {error}; expected the whole log of a finished accuracy run, not a truncated "
            "one."
        ) from error


def _first_answers(
    path: Path, count: int, read: Callable[[bytes, str], Answer]
) -> dict[int, Answer]:
    """Return the answer to each sample seen, by its index."""
    found: dict[int, Answer] = {}
    for position, record in enumerate(read_log(path)):
        if record.qsl_idx in found:
            continue
        where = f"{path}: record {position}"
        if not 0 <= record.qsl_idx < count:
            raise DataError(
                f"{where}: sample {record.qsl_idx} is not in the data set; "
                f"expected 0 to {count - 1}."
            )
        found[record.qsl_idx] = read(_bytes(record.data, where), where)
    if not found:
        raise DataError(f"{path}: holds no records; expected the log of an accuracy run.")
    return found


def _bytes(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise DataError(f'{where}: data "{text[:16]}" is not hexadecimal.') from error
