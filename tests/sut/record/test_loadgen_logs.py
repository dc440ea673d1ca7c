"""The reader of LoadGen's logs, on logs of the real LoadGen, whole, cut and broken."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from sut.base.errors import DataError
from sut.record.loadgen_logs import (
    DETAIL_FILE,
    SUMMARY_FILE,
    read_detail,
    read_summary_text,
)
from tests.scenarios.real_loadgen import logs
from tests.scenarios.runs import ACCURACY, INVALID, VALID, VALID_WITH_ERROR


@pytest.fixture
def lines() -> list[str]:
    """The lines of a detail log, each with its line feed."""
    text = (logs(VALID["SingleStream"]) / DETAIL_FILE).read_text(encoding="utf-8")
    return text.splitlines(keepends=True)


def written(folder: Path, text: str) -> Path:
    (folder / DETAIL_FILE).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", VALID)
def test_a_whole_performance_log_is_complete_with_its_verdict(name: str) -> None:
    detail = read_detail(logs(VALID[name]))

    assert detail.complete
    assert detail.validity == "VALID"
    assert detail.errors == ()
    assert detail["effective_scenario"] == name
    assert detail.effective["scenario"] == name
    assert detail.effective["min_duration_ms"] == dict(VALID[name].conf)["min_duration"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCURACY)
def test_a_whole_accuracy_log_is_complete_without_a_verdict(name: str) -> None:
    detail = read_detail(logs(ACCURACY[name]))

    assert detail.complete
    assert detail.validity is None


@pytest.mark.slow
def test_an_accuracy_log_is_incomplete_until_its_last_set_of_samples_ended(tmp_path: Path) -> None:
    text = (logs(ACCURACY["Offline"]) / DETAIL_FILE).read_text(encoding="utf-8")
    assert text.count('"power_end"') == 2  # 300 samples, 256 at once

    first_set = text[: text.index("\n", text.index('"power_end"')) + 1]

    assert not read_detail(written(tmp_path, first_set)).complete


@pytest.mark.slow
def test_the_last_value_of_a_repeated_key_counts(tmp_path: Path, lines: list[str]) -> None:
    verdict = next(line for line in lines if '"result_validity"' in line)

    folder = written(tmp_path, "".join([*lines, verdict.replace('"VALID"', '"INVALID"')]))

    assert read_detail(folder)["result_validity"] == "INVALID"
    assert read_detail(folder).validity == "INVALID"


@pytest.mark.slow
def test_errors_and_warnings_keep_their_texts(tmp_path: Path, lines: list[str]) -> None:
    warned = lines[0].replace('"is_warning": false', '"is_warning": true')

    detail = read_detail(logs(VALID_WITH_ERROR))
    with_warning = read_detail(written(tmp_path, "".join([warned, *lines[1:]])))

    assert len(detail.errors) == detail["num_errors"] == 1
    assert "Multiple conf files" in detail.errors[0]
    assert with_warning.warnings == (detail["loadgen_version"],)


@pytest.mark.slow
def test_a_rate_of_zero_over_zero_is_read_as_not_a_number() -> None:
    detail = read_detail(logs(INVALID["Server max_query_count of"]))

    value = detail["result_scheduled_samples_per_sec"]

    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.slow
@pytest.mark.parametrize("left", [0.0, 0.1, 0.37, 0.62, 0.9, 0.999])
def test_a_log_cut_anywhere_gives_its_whole_records(
    tmp_path: Path, lines: list[str], left: float
) -> None:
    text = "".join(lines)
    cut = text[: int(len(text) * left)]

    detail = read_detail(written(tmp_path, cut))

    whole = {*read_detail(logs(VALID["SingleStream"]))}
    assert not detail.complete
    assert set(detail) <= whole
    assert bool(detail) == ("\n" in cut)


@pytest.mark.slow
def test_garbage_is_refused_with_file_and_line(tmp_path: Path, lines: list[str]) -> None:
    folder = written(tmp_path, "".join([*lines[:3], "Segmentation fault\n", *lines[3:]]))

    with pytest.raises(DataError, match=rf"{DETAIL_FILE}:4: 'Segmentation fault'.*MLLOG"):
        read_detail(folder)


@pytest.mark.parametrize(
    "line",
    [
        ":::MLLOG {",
        ":::MLLOG []",
        ':::MLLOG {"key": "a", "value": 1}',
        ':::MLLOG {"key": "a", "value": 1, "metadata": {}}',
        ':::MLLOG {"key": "sut_name", "value": "a "quoted" name", "metadata": {}}',
    ],
)
def test_a_line_that_is_no_record_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=f"{DETAIL_FILE}:1: .*LoadGen record"):
        read_detail(written(tmp_path, f"{line}\n"))


@pytest.mark.slow
def test_the_summary_is_loadgens_text() -> None:
    folder = logs(VALID["Server"])

    text = read_summary_text(folder)

    assert text == read_summary_text(folder / SUMMARY_FILE)
    assert "Result is : VALID" in text


def test_an_empty_summary_of_a_dead_loadgen_is_empty(tmp_path: Path) -> None:
    (tmp_path / SUMMARY_FILE).touch()

    assert read_summary_text(tmp_path) == ""


@pytest.mark.parametrize("read", [read_detail, read_summary_text])
def test_a_folder_without_logs_is_refused_by_name(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no such file"):
        read(tmp_path)
