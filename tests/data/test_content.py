"""Content counts even where a file system's sizes and times do not tell a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.content import digest_of_some
from sut.base.errors import DataError

BYTES = 100


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{k:02}" for k in range(20)]
    for k, path in enumerate(found):
        path.write_bytes(bytes([k]) * BYTES)
    return found


@pytest.mark.parametrize("changed", [0, 7, 19])
def test_n8_every_file_of_a_small_set_counts(paths: list[Path], changed: int) -> None:
    before = digest_of_some(paths, 20 * BYTES)

    paths[changed].write_bytes(b"x" * BYTES)

    assert digest_of_some(paths, 20 * BYTES) != before


@pytest.mark.parametrize(("changed", "seen"), [(0, True), (4, True), (5, False), (16, True)])
def test_n8_of_a_large_set_evenly_spread_files_count(
    paths: list[Path], changed: int, seen: bool
) -> None:
    before = digest_of_some(paths, 20 * BYTES, most_bytes=5 * BYTES)

    paths[changed].write_bytes(b"x" * BYTES)

    assert (digest_of_some(paths, 20 * BYTES, most_bytes=5 * BYTES) != before) == seen


def test_n8_two_files_exchanged_are_another_set(paths: list[Path]) -> None:
    before = digest_of_some(paths, 20 * BYTES)

    assert digest_of_some([paths[1], paths[0], *paths[2:]], 20 * BYTES) != before


def test_n8_a_file_that_cannot_be_read_is_named(paths: list[Path]) -> None:
    paths[3].unlink()

    with pytest.raises(DataError, match="03: No such file"):
        digest_of_some(paths, 20 * BYTES)
