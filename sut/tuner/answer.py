"""What a search found, and why: the setting, its proof, what was predicted, what binds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sut.serve.service_times import Measured
    from sut.tuner.asks import Outcome
    from sut.tuner.candidate import Candidate, Variant


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the model says of a candidate.

    Attributes:
        candidate: the settings.
        qps: the highest rate within the bounds; Offline: samples/s.
        fill_ns: the time in which its batch fills at that rate.
        first_qps: the first look's rate, from short runs: too high by a little, for all alike.
        is_fine: `qps` is from long runs and several seeds; else it is the first look's.
    """

    candidate: Candidate
    qps: float
    fill_ns: float
    first_qps: float = 0.0
    is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """p99 (or the bounded percentile) against the rate, for the chosen candidate.

    Attributes:
        predicted: (qps, ns), before any run.
        corrected: (qps, ns), with what the runs taught.
        measured: (qps, ns, purpose) of its runs.
    """

    predicted: tuple[tuple[float, float], ...] = ()
    corrected: tuple[tuple[float, float], ...] = ()
    measured: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a search.

    Attributes:
        candidate: the settings found.
        target_qps: Server: the rate.
        value: the objective, as confirmed.
        confirmed: the runs that prove it.
        is_valid: all of them were VALID, and as many as asked for.
        confidence: that another run will be VALID, 0 to 1; None where nothing can be INVALID.
        predictions: of all candidates, the best first.
        measured: S(b) by variant.
        curve: latency against rate.
        notes: what the user should know, a line each.
        runner_up: the next best candidate, and its runs.
    """

    candidate: Candidate
    target_qps: float | None
    value: float
    confirmed: tuple[Outcome, ...]
    is_valid: bool
    confidence: float | None
    predictions: tuple[Predicted, ...] = ()
    measured: tuple[tuple[Variant, Measured], ...] = ()
    curve: Curve = Curve()
    notes: tuple[str, ...] = ()
    runner_up: tuple[Candidate, tuple[Outcome, ...]] | None = None
