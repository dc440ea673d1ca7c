"""LoadGen's early-stopping arithmetic, against LoadGen's tables and its own runs."""

import re
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.early_stopping import (
    allowed_over,
    minimum_queries,
    needed_share,
    passes,
    queries_at_share,
)
from sut.record.loadgen_logs import read_detail
from tests.scenarios.real_loadgen import logs
from tests.scenarios.runs import INVALID, VALID

# Rules, appendix on early stopping: queries in all, for so many of them over the latency.
LATE = (0, 1, 2, 5, 10, 20, 50, 100, 500, 1000)
MINIMUM = {
    0.90: (44, 64, 81, 127, 197, 325, 681, 1246, 5518, 10722),
    0.97: (152, 219, 277, 433, 667, 1097, 2293, 4182, 18458, 35831),
    0.99: (459, 662, 838, 1307, 2010, 3304, 6898, 12571, 55427, 107569),
    0.999: (4603, 6636, 8403, 13105, 20140, 33097, 69058, 125826, 554510, 1076032),
}


@pytest.mark.parametrize("percentile", MINIMUM)
def test_the_least_number_of_queries_is_the_published_one(percentile: float) -> None:
    found = tuple(minimum_queries(percentile, late) for late in LATE)

    assert found == MINIMUM[percentile]


@pytest.mark.parametrize(
    ("queries", "late"),
    [(458, None), (459, 0), (5_000, 33), (24_576, 209), (60_000, 543), (270_336, 2_583)],
)
def test_a_run_allows_as_many_late_queries_as_published(queries: int, late: int | None) -> None:
    assert allowed_over(0.99, queries) == late


@given(late=st.integers(0, 60), queries=st.integers(1, 600))
def test_passing_agrees_with_the_exact_binomial_sum(late: int, queries: int) -> None:
    # The sum in whole numbers: 0.9 and 0.1 are 9 / 10 and 1 / 10.
    terms = sum(comb(queries, k) * 9 ** (queries - k) for k in range(min(late, queries) + 1))

    assert passes(0.9, queries, late) == (100 * terms < 10**queries)


@given(late=st.integers(0, 3000), percentile=st.sampled_from([0.9, 0.97, 0.99, 0.999]))
def test_the_allowance_is_the_inverse_of_the_minimum(late: int, percentile: float) -> None:
    queries = minimum_queries(percentile, late)

    assert allowed_over(percentile, queries) == late
    assert allowed_over(percentile, queries - 1) == (late - 1 if late else None)


def test_ten_million_queries_are_judged_without_overflow() -> None:
    allowed = allowed_over(0.99, 10_000_000)

    assert allowed is not None
    assert 99_000 < allowed < 100_000  # 1 % less 2.33 standard deviations of 315
    assert passes(0.99, 10_000_000, allowed)
    assert not passes(0.99, 10_000_000, allowed + 1)


@pytest.mark.parametrize(("queries", "late"), [(1_000, 8), (60_000, 570), (300, 1)])
def test_the_longer_run_passes_at_the_same_share_of_late_queries(queries: int, late: int) -> None:
    total = queries_at_share(0.99, queries, late)

    assert total is not None
    assert total > queries
    assert passes(0.99, total, late * total // queries)


def test_a_run_without_late_queries_needs_exactly_the_minimum() -> None:
    assert queries_at_share(0.99, 300, 0) == 459


@pytest.mark.parametrize(("queries", "late"), [(60_000, 599), (1_000, 10), (1_000, 500)])
def test_no_length_is_enough_when_too_many_are_late(queries: int, late: int) -> None:
    assert queries_at_share(0.99, queries, late) is None


@pytest.mark.slow
def test_loadgen_asks_for_the_same_number_of_queries() -> None:
    detail = read_detail(logs(INVALID["Server Early stopping not met"]))
    queries, late = detail["result_query_count"], detail["result_overlatency_query_count"]
    said = re.search(r"at least (\d+) more queries", str(detail["early_stopping_result"]))

    assert said is not None
    assert isinstance(queries, int)
    assert isinstance(late, int)
    assert late > 0
    assert minimum_queries(0.99, late) == queries + int(said[1])


@pytest.mark.slow
def test_loadgen_discards_as_many_queries_as_allowed() -> None:
    detail = read_detail(logs(VALID["MultiStream"]))
    queries = detail["result_query_count"]
    said = re.search(r"discard (\d+) highest", str(detail["early_stopping_result"]))

    assert said is not None
    assert isinstance(queries, int)
    # LoadGen reports the latency of the first query that may be late, so it discards one less.
    assert allowed_over(0.99, queries) == int(said[1]) + 1


def test_the_share_in_time_that_a_run_needs_approaches_the_percentile() -> None:
    short, *longer = [needed_share(0.99, queries) for queries in (50, 1_000, 10_000, 300_000)]

    assert short == 1 - 1 / 50, "all, up to the last query"
    assert longer == sorted(longer, reverse=True)
    assert 0.99 < longer[-1] < 0.991
