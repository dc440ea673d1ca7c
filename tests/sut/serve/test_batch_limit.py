"""Which batch sizes warm-up measures, and the largest that it chooses."""

from __future__ import annotations

import pytest

from sut.serve.batch_limit import Known
from sut.serve.workers.executor import Timing

MS = 1e6
# A device that takes 1 ms and 0.05 ms a sample, with graphs of these sizes.
SIZES = (1, 8, 32, 64, 128, 256)
TIMINGS = {size: Timing((1 + 0.05 * size) * MS, (1 + 0.05 * size) * MS) for size in SIZES}


@pytest.mark.parametrize(
    ("cap", "samples_per_query", "sizes"),
    [(8, 1, (1, 8)), (8, 8, (1, 8)), (32, 8, (1, 8, 32)), (4, 8, (1, 4)), (1, 1, (1,))],
)
def test_warm_up_measures_a_lone_query_and_the_full_batch(
    cap: int, samples_per_query: int, sizes: tuple[int, ...]
) -> None:
    assert Known(cap, (), is_open=False).warm_up_sizes(samples_per_query) == sizes


def test_warm_up_measures_every_size_of_a_ladder() -> None:
    assert Known(64, (8, 32, 64), is_open=False).warm_up_sizes(1) == (1, 8, 32, 64)


def test_a_choice_among_all_sizes_measures_some_of_each_order() -> None:
    sizes = Known(256, (), is_open=True).warm_up_sizes(1)

    assert sizes == (1, 2, 8, 32, 64, 128, 256)


@pytest.mark.parametrize(
    ("bound_ms", "largest"),
    [
        (None, 256),  # 256 is 4 % faster than 128
        (20, 128),  # two of 128 take 14.8 ms, of 256 27.6 ms
        (16.4, 64),  # 90 % of it is a little less than two of 128
        (5, 8),
        (1, 1),  # nothing fits: the shortest
    ],
)
def test_the_largest_batch_is_the_fastest_of_which_two_fit_into_the_bound(
    bound_ms: float | None, largest: int
) -> None:
    known = Known(256, SIZES, is_open=True)

    chosen = known.chosen(TIMINGS, None if bound_ms is None else bound_ms * MS)

    assert list(chosen) == [size for size in SIZES if size <= largest]


def test_a_larger_batch_that_gains_nothing_is_not_chosen() -> None:
    flat = {size: Timing(0.1 * MS * size, 0.1 * MS * size) for size in SIZES}

    assert list(Known(256, SIZES, is_open=True).chosen(flat, None)) == [1]


def test_a_batch_that_was_given_stays() -> None:
    assert Known(256, SIZES, is_open=False).chosen(TIMINGS, 1 * MS) == TIMINGS
