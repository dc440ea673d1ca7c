"""Lines of published user.conf files: what does no harm is a warning, and each remedy works."""

from __future__ import annotations

import re

import pytest

from sut.base.errors import ConfigError
from sut.config.user_conf import parse, read

NVIDIA = (
    "*.Offline.performance_sample_count = 64\n"
    "*.Offline.performance_sample_count_override = 64\n"
    "*.Offline.target_qps = 650\n"
)


# K1: a problem in one line does not hide the others


def test_k1_every_line_that_loadgen_reads_is_read() -> None:
    text = "*.Server.nonsense = 1\n*.Server.min_duration = 1000\n*.Server.target_qps = 5e\n"

    reading = read(text, "user.conf", [])

    assert [entry.key for entry in reading.conf.entries] == ["min_duration"]
    assert [problem.line for problem in reading.problems] == [1, 3]
    assert len(reading.conf.closed_problems("resnet50", "Server")) == 1


def test_k1_of_a_repeated_line_the_last_is_read() -> None:
    reading = read("*.Server.target_qps = 5\n*.Server.target_qps = 6\n", "user.conf", [])

    assert [entry.value for entry in reading.conf.entries] == [6]
    assert [problem.harmless for problem in reading.problems] == [False]


# K7: lines without effect that do no harm


@pytest.mark.parametrize(
    "text",
    [
        NVIDIA,
        "*.Server.target_qps = 5\n*.Server.target_qps = 5\n",
        "*.*.min_duration = 600000\n" + "".join(
            f"*.{name}.min_duration = 600000\n"
            for name in ("Server", "Offline", "SingleStream", "MultiStream")
        ),
        "resnet50.*.accuracy_sample_count = 100\n*.*.accuracy_sample_count_override = 100\n",
    ],
    ids=["an old name", "a repeated line", "a line that others replace", "a wildcard"],
)  # fmt: skip
def test_k7_a_line_that_changes_nothing_is_a_warning(text: str) -> None:
    conf = parse(text, "user.conf", [])

    assert len(conf.warnings) == 1
    assert "no effect" in conf.warnings[0]
    assert re.match(r"user\.conf:\d: ", conf.warnings[0])
    with pytest.raises(ConfigError, match="no effect"):
        parse(text, "user.conf", [], strict=True)


@pytest.mark.parametrize(
    "text",
    [
        NVIDIA.replace("count = 64", "count = 65"),
        "*.Offline.performance_sample_count = 64\n",
        NVIDIA.replace("Offline.performance_sample_count =", "Server.performance_sample_count ="),
        "*.Server.target_qps = 5\n*.Server.target_qps = 6\n",
        "*.Offline.coalesce_queries = 1\n",
    ],
)
def test_k7_a_line_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, "user.conf", [])


OTHERS = "*.Server.target_qps = 5\n*.Server.min_duration = 600000\n"


# K9: a remedy is accepted by the next check


@pytest.mark.parametrize(
    "line",
    [
        "*.Server.target_latency = 0.0",
        "*.SingleStream.target_latency = 0.0",
        "*.*.target_latency = 0.0",
        "*.Server.min_query_count = 0.0",
        "*.Server.max_duration = 6e5",
        "*.Server.max_async_queries = 3e9",
        "*.Server.coalesce_queries = 2.0",
        "*.Server.coalesce_queries = 1.0",
        "*.MultiStream.samples_per_query = 0.0",
        "*.Server.target_duration = 600000",
        "*.Server.target_duration = 6.5",
        "*.Server.target_duration = 700000",
        "*.MultiStream.multi_stream_samples_per_query = 8",
        "*.Server.multi_stream_samples_per_query = 8",
        "*.Server.performance_sample_count = 64",
        "*.SingleStream.server_target_qps = 5",
        "*.Offline.server_coalesce_queries = 1",
        "*.Offline.coalesce_query = 1",
        "*.Server.target_qp = 0",
    ],
)
@pytest.mark.parametrize("others", ["", OTHERS])
def test_k9_each_remedy_leads_to_a_file_that_is_accepted(line: str, others: str) -> None:
    (problem,) = read(f"{others}{line}\n", "user.conf", []).problems
    name, _, value = line.partition(" = ")
    number = re.search(r"write (\d+)$", problem.text)
    least = re.search(r"(?:from|expected) ([\d.]+) to ([\d.]+)", problem.text)
    meant = re.search(r'Did you mean "(\w+)"', problem.text)

    if meant:
        corrected = f"{name.rpartition('.')[0]}.{meant[1]} = {value}\n"
    elif number:
        corrected = f"{name} = {number[1]}\n"
    elif "remove th" in problem.text:
        corrected = ""
    else:
        assert least, problem.text
        corrected = f"{name} = {least[1]}\n"

    assert read(others + corrected, "user.conf", []).problems == ()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("*.Server.target_latency = 0.0", "from 1 to"),
        ("*.Server.target_duration = 600000", '"min_duration"'),
        ("*.MultiStream.multi_stream_samples_per_query = 8", '"samples_per_query"'),
        ("*.Server.multi_stream_samples_per_query = 8", "remove the line"),
    ],
)
def test_k9_the_remedy_is_the_right_one(line: str, remedy: str) -> None:
    (problem,) = read(line, "user.conf", []).problems

    assert remedy in problem.text
