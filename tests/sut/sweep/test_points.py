"""Lists and ranges of values, and their combinations."""

from __future__ import annotations

import pytest

from sut.base.errors import ConfigError
from sut.sweep.points import combinations, integers, numbers


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8]),
        ("4,1,2", [4, 1, 2]),
        ("1:1024:x2", [2**k for k in range(11)]),
        ("8:256:8", list(range(8, 257, 8))),
        ("8:30:8", [8, 16, 24]),
        ("1,4:8:4,8", [1, 4, 8]),
    ],
)
def test_a_text_lists_whole_numbers(text: str, values: list[int]) -> None:
    assert integers("--batches", text) == values


def test_rates_need_not_be_whole() -> None:
    assert numbers("--qps", "0.5:4:x2") == [0.5, 1, 2, 4]
    assert numbers("--qps", "0.1:0.3:0.1") == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected numbers above 0"),
        ("a", '"a"; expected numbers above 0'),
        ("0", '"0"; expected numbers above 0'),
        ("1:8", '"1:8"; expected 8, 1,2,4'),
        ("8:1:x2", "an end from the start on"),
        ("1:8:x1", "a factor above 1"),
        ("1:8:x0.5", "a factor above 1"),
        ("1:nan:1", '"nan"'),
        ("1:1e9:1", "values; expected at most 10,000"),
        ("1.5", "1.5 is no whole number"),
    ],
)
def test_another_text_is_refused_with_the_option_and_an_example(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        integers("--batches", text)

    assert str(caught.value).startswith("--batches")
    assert says in str(caught.value)


def test_combinations_change_the_last_axis_first() -> None:
    assert combinations({"backend": ["a", "b"], "batch": [1, 2]}) == [
        {"backend": "a", "batch": 1},
        {"backend": "a", "batch": 2},
        {"backend": "b", "batch": 1},
        {"backend": "b", "batch": 2},
    ]


def test_too_many_points_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"1,000,000 points \(1000 a x 1000 b\)"):
        combinations({"a": range(1_000), "b": range(1_000)})
