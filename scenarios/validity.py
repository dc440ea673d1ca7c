"""Reasons for INVALID that several scenarios share.

No other module reads the wording of LoadGen's errors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scenarios import load, records
from scenarios.base import Reason
from scenarios.early_stopping import minimum_queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios.base import Detail

# loadgen/issue_query_controller.cc and loadgen.cc; a run logs one of these at most.
_MAX_QUERIES = "Ending early: Max query count reached"
_MAX_DURATION = "Ending early: Max test duration reached"
_MAX_OUTSTANDING = "Ending early: Too many outstanding queries"
_RAN_OUT = "Ending early: Ran out of generated queries"


def explain(detail: Detail, unmet: Callable[[Detail], list[Reason]]) -> list[Reason]:
    """Return the reasons of a run; `unmet` gives those of the scenario's own conditions.

    Empty if LoadGen calls the run VALID and logged no error: LoadGen's own verdict does not look
    at its errors, but the submission checker refuses a log that has one. Accuracy runs have no
    verdict; only their errors count.
    """
    if detail.get("effective_test_mode") == "AccuracyOnly":
        return _errors(detail, explained=False)
    if "result_validity" not in detail:
        interrupted = Reason(
            "The detail log ends before LoadGen's result: the run was interrupted.",
            "Run it again, and see run.log for what stopped it.",
        )
        return [interrupted, *_errors(detail, explained=False)]
    if detail["result_validity"] == "VALID":
        return [*_limits(detail), *_errors(detail, explained=limited(detail))]
    conditions = [*_limits(detail), *unmet(detail)]
    explained = limited(detail) or _RAN_OUT in _last_error(detail)
    return [*(conditions or [_unknown(detail)]), *_errors(detail, explained=explained)]


def limited(detail: Detail) -> bool:
    """Return whether a limit in user.conf ended the run."""
    limits = (_MAX_QUERIES, _MAX_DURATION, _MAX_OUTSTANDING)
    return any(limit in _last_error(detail) for limit in limits)


def stream_conditions(detail: Detail, mean_ns: float) -> list[Reason]:
    """Return the unmet conditions of SingleStream and MultiStream.

    Args:
        detail: LoadGen's records.
        mean_ns: the mean latency of a query.
    """
    percentile = records.number(detail, "effective_target_latency_percentile")
    # LoadGen wants one query to discard: t = 1 in its tables.
    needed = minimum_queries(percentile, 1)
    if detail.get("result_min_duration_met") is not False or limited(detail):
        return _too_few_for_estimate(detail, percentile, needed)
    queries = records.count(detail, "result_query_count")
    # The time of a query with what LoadGen adds between two. The clock behind it is coarse, so in
    # a short run the mean latency, which leaves that out, may be the larger one.
    period_s = max(records.active_s(detail) / queries, mean_ns / 1e9)
    found = [_ran_out(detail, queries, period_s)]
    if records.min_duration_s(detail) / period_s < needed:  # also in a run of full length
        found += _too_few_for_estimate(detail, percentile, needed)
    return found


def percent(share: float) -> str:
    """Return 0.99 as "99 %"."""
    return f"{share * 100:.4g} %"


def _ran_out(detail: Detail, queries: int, period_s: float) -> Reason:
    expected_s = records.min_duration_s(detail)
    hint_ms = 1e3 / records.number(detail, "effective_target_qps")
    new_ms = max(period_s * 1e3 * load.EXPECTED_LATENCY_SHARE, load.MIN_EXPECTED_LATENCY_MS)
    cause = (
        f"Too short: LoadGen ran out of its {queries} queries after"
        f" {(queries - 1) * period_s:.4g} s of {expected_s:.4g} s, because it expected"
        f" {hint_ms:.4g} ms a query and one took {period_s * 1e3:.4g} ms."
    )
    needed = 2e3 * expected_s / new_ms
    remedy = f"Set target_latency to {new_ms:.4g} ms (--target-latency-ms {new_ms:.4g})"
    if needed > load.MAX_STREAM_QUERIES:
        remedy += f"; LoadGen then holds {needed / 1e6:.0f} million queries in memory"
    return Reason(cause, f"{remedy}, or ask for a shorter run (--min-duration-s).")


def _too_few_for_estimate(detail: Detail, percentile: float, needed: int) -> list[Reason]:
    if detail.get("early_stopping_met") is not False:
        return []
    queries = records.count(detail, "result_query_count")
    cause = (
        f"Too few queries: {queries} were issued, and the early-stopping estimate of the"
        f" {percent(percentile)} latency needs {needed}."
    )
    remedy = f"Run longer, or set min_query_count to {needed} or more (--min-query-count {needed})."
    return [Reason(cause, remedy)]


def _limits(detail: Detail) -> list[Reason]:
    """Explain the limit of user.conf that ended the run, if one did."""
    text = _last_error(detail)
    queries = records.count(detail, "result_query_count")
    asked = records.count(detail, "effective_min_query_count")
    reached = (
        f"after {queries} queries (min_query_count {asked}) and {records.active_s(detail):.4g} s"
        f" (min_duration {records.min_duration_s(detail):.4g} s)"
    )
    if _MAX_QUERIES in text:
        limit = records.count(detail, "effective_max_query_count")
        cause = f"max_query_count of {limit} ended the run early, {reached}."
        return [Reason(cause, "Remove max_query_count from user.conf, or raise it.")]
    if _MAX_DURATION in text:
        limit_s = records.number(detail, "effective_max_duration_ms") / 1e3
        cause = f"max_duration of {limit_s:.4g} s ended the run early, {reached}."
        return [Reason(cause, "Remove max_duration from user.conf, or raise it.")]
    if _MAX_OUTSTANDING in text:
        limit = records.count(detail, "effective_max_async_queries")
        cause = f"More than max_async_queries of {limit} queries were outstanding, {reached}."
        return [Reason(cause, "Lower target_qps, or remove max_async_queries from user.conf.")]
    return []


def _errors(detail: Detail, *, explained: bool) -> list[Reason]:
    """Explain LoadGen's logged errors; one of them less if that one is explained already."""
    kinds = [key for key in detail if key.startswith("error_")]
    total = records.count(detail, "num_errors") if "num_errors" in detail else len(kinds)
    left = total - explained
    if left <= 0:
        return []
    # The records keep the last text of each kind; leave out the one that is explained already.
    texts = [" ".join(str(detail[key]).split()) for key in kinds]
    news = [text for text in texts if not (explained and "Ending early" in text)]
    more = f"{left}{' more' if explained else ''} error{'s' if left > 1 else ''}"
    return [
        Reason(
            f"LoadGen logged {more}, such as: {news[-1]}" if news else f"LoadGen logged {more}.",
            "Remove the cause: the submission checker refuses a log with errors"
            " (is_error in mlperf_log_detail.txt).",
        )
    ]


def _unknown(detail: Detail) -> Reason:
    said = " ".join(str(detail.get("result_invalid_reason", "")).split()) or "it gives no reason."
    return Reason(
        f"LoadGen calls the run INVALID: {said}",
        "See mlperf_log_summary.txt for the conditions that were not met.",
    )


def _last_error(detail: Detail) -> str:
    return str(detail.get("error_runtime", ""))


def finite(value: float) -> float:
    """Return `value`, or 0 for LoadGen's 0 / 0 of a run with a single query."""
    return value if math.isfinite(value) else 0.0
