"""Cores as text."""

from __future__ import annotations

import pytest

from sut.errors import ConfigError
from sut.process import parse_affinity, parse_cpus


def test_ranges_and_single_cores_are_read() -> None:
    assert parse_cpus("0-3,8, 10-11") == {0, 1, 2, 3, 8, 10, 11}


def test_devices_get_their_cores() -> None:
    assert parse_affinity("0:0-15&1,2:16-31") == {"0": "0-15", "1": "16-31", "2": "16-31"}
    assert parse_affinity("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "expected DEVICES:CORES"),
        ("0:", "expected DEVICES:CORES"),
        ("0:a-b", "expected cores such as 0-3,8"),
        ("0:3-1", "the range 3-1 is empty"),
        ("0:1&0:2", "device 0 is named twice"),
        ("0:1-", "expected cores"),
    ],
)
def test_what_is_no_such_list_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_affinity(text)
