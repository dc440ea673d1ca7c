"""Why a row is doubtful: what its figures say against themselves. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.serve.losses import Loss
    from sut.sweep.steady import Rule, Steady

# Throughput times mean latency over what is in flight (features of a closed loop: Little's law).
LITTLE = (0.97, 1.03)
# The parts of a sample's latency add up to it.
PARTS_NS = 1_000.0
# Share of the requests that may be sent late; in a short window, so many of them.
LATE_SHARE, LATE_REQUESTS = 0.01, 2.5
# An open loop is answered at the rate at which it asks, but for what is in flight at the end; below
# this share the queue grows (as in scenarios/server.py).
KEEPS_UP = 0.95
_NS_PER_MS, _NS_PER_S = 1e6, 1e9


def marks(
    figures: Mapping[str, float], steady: Steady | None, rule: Rule, disturbed: str = ""
) -> list[str]:
    """Return why a row is doubtful, one sentence each.

    Args:
        figures: of the row, as sut.sweep.figures makes them.
        steady: what its windows show; None: too few batches to say.
        rule: what was asked for.
        disturbed: what others did meanwhile, or an empty text.
    """
    return [*_law(figures), *_generator(figures), *_window(figures, steady, rule, disturbed)]


def lost(loss: Loss, start_ns: int) -> str:
    """Say that a row was measured without one of its workers from a time on.

    Args:
        loss: of the worker.
        start_ns: when the first request was due.
    """
    after_s = max(0.0, (loss.at_ns - start_ns) / _NS_PER_S)
    moved = f" and got its {loss.samples} samples in flight" if loss.samples else ""
    return (
        f"lost worker: {loss.message} ({after_s:.1f} s after the first request). The others went "
        f"on{moved}, so the figures are of fewer workers than the setting has."
    )


def _law(figures: Mapping[str, float]) -> list[str]:
    found = []
    little = figures.get("little")
    if little is not None and not LITTLE[0] <= little <= LITTLE[1]:
        found.append(
            f"Little's law: throughput x mean latency is {little:.3f} of what is in flight; "
            f"expected {LITTLE[0]:g} to {LITTLE[1]:g}. The window cuts requests off."
        )
    off_ns = figures.get("parts_error_ns", 0.0)
    if off_ns > PARTS_NS:
        found.append(
            f"parts: those of a sample differ from its latency by {_time(off_ns)}; expected at "
            "most 1 us. Clocks disagree, or records are missing."
        )
    bad = figures.get("not_finite")
    if bad:
        found.append(
            f"answers: those of {bad:,.0f} samples are no numbers, so they mean nothing. Check the "
            "model's weights and the preprocess steps; if it computes in fp16, try fp32."
        )
    return found


def _generator(figures: Mapping[str, float]) -> list[str]:
    found = []
    late = figures.get("late_share", 0.0)
    if late > LATE_SHARE and late * figures["requests"] > LATE_REQUESTS:
        found.append(
            f"generator late: {late:.1%} of the requests were sent late, by up to "
            f"{_time(figures['lateness_max_ns'])}; latencies count from when they were due. Lower "
            "the rate, or free a core."
        )
    offered, rate = figures.get("offered_per_s"), figures.get("samples_per_s", 0.0)
    if offered is not None and rate < KEEPS_UP * offered:
        found.append(
            f"overload: {rate:,.6g} of {offered:,.6g} samples/s were answered, so the queue grows "
            "and latencies depend on the length of the window."
        )
    lost = figures.get("unanswered")
    if lost:
        found.append(
            f"unanswered: {lost:,.0f} of {figures['requests']:,.0f} requests had no answer when "
            "the measurement ended; they count with the time that they had waited."
        )
    return found


def _window(
    figures: Mapping[str, float], steady: Steady | None, rule: Rule, disturbed: str
) -> list[str]:
    is_open = "offered_per_s" in figures
    turned = figures.get("turn_overs", 0.0)
    if turned < rule.turn_overs:
        return [
            f"window cut short: what is in flight turned over {turned:.1f} times; expected at "
            f"least {rule.turn_overs:g}. Raise --limit-s."
        ]
    missed = "too few batches" if steady is None else steady.misses(rule, by_latency=is_open)
    if missed is None:
        return []
    because = f" Meanwhile {disturbed}." if disturbed else ""
    return [
        f"not steady after {figures['duration_s']:.1f} s: {missed}.{because} Raise --limit-s, or "
        "free the machine."
    ]


def _time(ns: float) -> str:
    if ns >= _NS_PER_MS:
        return f"{ns / _NS_PER_MS:,.3g} ms"
    return f"{ns / 1e3:,.3g} us"
