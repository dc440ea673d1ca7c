from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.accuracy import MIN_SAMPLES_FOR_VERDICT, read_log, score
from data.schema import AccuracyRule
from sut.base.errors import DataError

LABELS = tuple(range(10))
RULE = AccuracyRule()


def record(index: int, answer: float) -> str:
    data = struct.pack("<f", answer).hex().upper()
    return f'{{ "seq_id" : {index}, "qsl_idx" : {index}, "data" : "{data}" }}'


def write_log(folder: Path, *records: str) -> Path:
    """Write records in LoadGen's own layout."""
    path = folder / "mlperf_log_accuracy.json"
    path.write_text("[\n" + ",\n".join(records) + "\n]\n", "ascii")
    return path


def test_loadgens_record_is_read(tmp_path: Path) -> None:
    path = write_log(tmp_path, '{ "seq_id" : 0, "qsl_idx" : 3, "data" : "00C03444" }')
    labels = (0, 0, 0, 723)

    assert score(path, labels, RULE).good == 1


def test_the_line_is_that_of_mlperfs_script(tmp_path: Path) -> None:
    path = write_log(tmp_path, *[record(i, i if i < 7 else 0) for i in range(9)])

    result = score(path, LABELS, RULE)

    assert result.line == "accuracy=77.778%, good=7, total=9"
    assert (result.metric, result.n, result.good) == ("top1", 9, 7)
    assert result.value == pytest.approx(7 / 9)


def test_the_first_record_of_a_sample_counts(tmp_path: Path) -> None:
    path = write_log(tmp_path, record(1, 1), record(2, 0), record(1, 5), record(2, 2))

    assert score(path, LABELS, RULE).line == "accuracy=50.000%, good=1, total=2"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1))
def test_any_log_is_scored_as_mlperfs_script_does(
    tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[int, int]]
) -> None:
    path = write_log(tmp_path_factory.mktemp("log"), *[record(i, a) for i, a in answers])

    result = score(path, LABELS, RULE)

    # accuracy-imagenet.py of mlcommons/inference, in its own steps.
    seen: set[int] = set()
    good = 0
    for entry in json.loads(path.read_text("ascii")):
        if entry["qsl_idx"] in seen:
            continue
        seen.add(entry["qsl_idx"])
        data = np.frombuffer(bytes.fromhex(entry["data"]), np.float32)
        good += int(int(data[0]) == LABELS[entry["qsl_idx"]])
    expected = f"accuracy={100.0 * good / len(seen):.3f}%, good={good}, total={len(seen)}"
    assert result.line == expected


def score_of(tmp_path: Path, good: int, n: int, official_count: int | None) -> bool | None:
    path = write_log(tmp_path, *[record(i, 0 if i < good else 1) for i in range(n)])
    return score(path, (0,) * n, AccuracyRule(target=0.75, count=official_count)).verdict


def test_the_whole_official_set_gives_a_verdict(tmp_path: Path) -> None:
    assert score_of(tmp_path, 75, 100, official_count=100) is True
    assert score_of(tmp_path, 74, 100, official_count=100) is False


def test_a_part_of_the_official_set_gives_no_verdict(tmp_path: Path) -> None:
    assert score_of(tmp_path, 6000, 6000, official_count=50_000) is None


def test_few_samples_give_no_verdict_on_a_target(tmp_path: Path) -> None:
    assert score_of(tmp_path, 18, 20, official_count=None) is None
    assert score_of(tmp_path, 4000, MIN_SAMPLES_FOR_VERDICT, official_count=None) is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "truncated|malformed|whole log"),
        ("[\n]\n", "holds no records"),
        ("[\n" + record(0, 0) + ",\n", "whole log"),
        ('[{"seq_id": 0, "qsl_idx": 0}]', "`data`"),
        ('{"seq_id": 0}', "expected the whole log"),
        ('[{"seq_id": 0, "qsl_idx": 0, "data": "00"}]', "record 0: 1 bytes"),
        ('[{"seq_id": 0, "qsl_idx": 0, "data": ""}]', "record 0: 0 bytes"),
        ('[{"seq_id": 0, "qsl_idx": 0, "data": "0x000000"}]', "is not hexadecimal"),
        (f"[{record(0, math.nan)}]", "the class is nan"),
        (f"[{record(0, 0)}, {record(10, 0)}]", "record 1: sample 10"),
        (f"[{record(-1, 0)}]".replace('"seq_id" : -1', '"seq_id" : 0'), "sample -1 is not in"),
        ("[\xff]", "expected the whole log"),
    ],
)
def test_a_log_that_is_broken_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text(content, "latin-1")

    with pytest.raises(DataError, match=message):
        score(path, LABELS, RULE)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: .*No such file"):
        score(tmp_path / "none.json", LABELS, RULE)


def test_samples_without_labels_cannot_be_scored(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labels"):
        score(write_log(tmp_path, record(0, 0)), None, RULE)


def test_a_log_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('[{"a": ' + "[" * 100_000, "ascii")

    with pytest.raises(DataError, match="whole log"):
        read_log(path)
