"""Judge LoadGen's accuracy log against the labels, in the way of MLPerf's accuracy-imagenet.py.

Source: mlcommons/inference, vision/classification_and_detection/tools/accuracy-imagenet.py: the
first record of a sample counts, and the divisor is the number of samples seen. Runs no model.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

# Below this many samples a 95 % interval at 76 % is wider than +-1.2 points, while MLPerf's target
# lies 0.76 points under the model's own figure: a verdict would be luck.
MIN_SAMPLES_FOR_VERDICT = 5000

_RECORD_BYTES = 4  # one float32
_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good the answers were.

    Attributes:
        metric: "top1".
        value: good / n, 0 to 1.
        target: the least value; None: there is none.
        n: samples seen.
        good: of them correct.
        interval_low: lower end of the 95 % Wilson interval.
        interval_high: its upper end.
        verdict: value >= target; None without a target, or with too few samples to say.
        line: as MLPerf's script prints it, which the submission checker reads.
    """

    metric: str
    value: float
    target: float | None
    n: int
    good: int
    interval_low: float
    interval_high: float
    verdict: bool | None
    line: str


class _Record(msgspec.Struct, frozen=True):
    """One record of mlperf_log_accuracy.json; `data` is hexadecimal."""

    seq_id: int
    qsl_idx: int
    data: str


def score(
    path: Path,
    labels: NDArray[np.int64] | None,
    target: float | None,
    *,
    metric: str = "top1",
    official_count: int | None = None,
) -> Accuracy:
    """Score `mlperf_log_accuracy.json` at `path`.

    Args:
        path: the log of an accuracy run.
        labels: [N] int64, the right class of each sample of the data set; None: unknown.
        target: the least value, 0 to 1.
        metric: "top1" alone is known here.
        official_count: samples of the official data set. A verdict then needs all of them;
            otherwise it needs MIN_SAMPLES_FOR_VERDICT.

    Raises:
        ConfigError: another metric.
        DataError: no labels; a missing, truncated or broken log; a record of a wrong size, or of a
            sample that the data set does not have.
    """
    if metric != "top1":
        raise ConfigError(
            f"accuracy metric {metric} is not implemented; expected top1. Score {path} with the "
            "accuracy script of mlcommons/inference."
        )
    if labels is None:
        raise DataError(f"{path}: the data set has no labels; expected labels to score it against.")
    found = _first_answers(path, len(labels))
    good = sum(labels[index] == answer for index, answer in found.items())
    n = len(found)
    low, high = wilson_interval(int(good), n)
    enough = n == official_count if official_count else n >= MIN_SAMPLES_FOR_VERDICT
    return Accuracy(
        metric=metric,
        value=int(good) / n,
        target=target,
        n=n,
        good=int(good),
        interval_low=low,
        interval_high=high,
        verdict=int(good) / n >= target if enough and target is not None else None,
        line=f"accuracy={100.0 * int(good) / n:.3f}%, good={good}, total={n}",
    )


def wilson_interval(good: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of good / n, n > 0 (Wilson 1927)."""
    p, z2 = good / n, _Z95 * _Z95
    center = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At both ends the formula gives 0 and 1 but for its rounding.
    return center - half if good else 0.0, center + half if good < n else 1.0


def _first_answers(path: Path, count: int) -> dict[int, int]:
    """Return the class that was answered for each sample seen, by its index."""
    found: dict[int, int] = {}
    for position, record in enumerate(_read(path)):
        if record.qsl_idx in found:
            continue
        where = f"{path}: record {position}"
        if not 0 <= record.qsl_idx < count:
            raise DataError(
                f"{where}: sample {record.qsl_idx} is not in the data set; "
                f"expected 0 to {count - 1}."
            )
        found[record.qsl_idx] = _decode(record.data, where)
    if not found:
        raise DataError(f"{path}: holds no records; expected the log of an accuracy run.")
    return found


def _read(path: Path) -> list[_Record]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Record])
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: {error}; expected the whole log of a finished accuracy run."
        ) from error


def _decode(text: str, where: str) -> int:
    """Return the class in a record of one float32, cut to an integer as MLPerf's script does."""
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise DataError(f'{where}: data "{text[:16]}" is not hexadecimal.') from error
    if len(data) != _RECORD_BYTES:
        raise DataError(
            f"{where}: {len(data)} bytes of data; expected {_RECORD_BYTES}, one float32 class."
        )
    (value,) = struct.unpack("<f", data)
    if not math.isfinite(value):
        raise DataError(f"{where}: the class is {value}; expected a number.")
    return int(value)
