"""When the requests of an open loop are due."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sut.base.errors import DataError
from sut.load.arrivals import constant, poisson, recorded_s, replay


def test_poisson_times_have_exponential_distances_and_come_from_the_seed() -> None:
    times = np.concatenate([next(blocks) for blocks in [poisson(2_000, 5)] for _ in range(10)])
    gaps = np.diff(times) / 1e9

    assert gaps.mean() == pytest.approx(1 / 2_000, rel=0.02)
    assert (gaps > 1 / 2_000).mean() == pytest.approx(math.exp(-1), abs=0.01)
    assert next(poisson(2_000, 5)).tolist() == times[:4_096].tolist()
    assert next(poisson(2_000, 6)).tolist() != times[:4_096].tolist()


def test_constant_times_do_not_drift() -> None:
    blocks = constant(3)
    times = np.concatenate([next(blocks), next(blocks)])

    assert times[[0, 1, 3, 6_000]].tolist() == [0, 333_333_333, 1_000_000_000, 2_000_000_000_000]


def test_a_number_of_constant_times_ends() -> None:
    times = np.concatenate(list(constant(1_000, 5_000)))

    assert len(times) == 5_000
    assert times[-1] == 4_999_000_000


def test_recorded_times_start_at_0_and_are_played_faster(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text("# s\n10.0\n\n10.5  # second\n12\n", "utf-8")

    (block,) = replay(file, speed=2.0)

    assert block.tolist() == [0, 250_000_000, 1_000_000_000]


def test_the_arrivals_of_a_run_can_be_played(tmp_path: Path) -> None:
    file = tmp_path / "batches.npz"
    np.savez(file, query_arrival_ns=np.array([7_000, 9_000]))

    assert recorded_s(file).tolist() == [0, 2e-6]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1\ntwo\n", ':2: "two"; expected an arrival time in s'),
        ("1\nnan\n", ':2: "nan"; expected an arrival time in s'),
        ("2\n1\n", "arrival 2 at 1 s comes before the one above it at 2 s"),
        ("# nothing\n", "no arrival times"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(
    text: str, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text(text, "utf-8")

    with pytest.raises(DataError) as caught:
        recorded_s(file)

    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_another_kind_of_npz_or_none_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "broken.npz").write_bytes(b"no archive")

    for name in ("other.npz", "broken.npz", "missing.txt"):
        with pytest.raises(DataError, match=name):
            recorded_s(tmp_path / name)
