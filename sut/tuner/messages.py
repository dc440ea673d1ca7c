"""Messages between a search and the part that measures: questions, replies, and the answer.

A search is a generator. It yields a question (measure S(b), run a trial), receives the reply, and
returns its answer. It never knows who replies: the real program, a journal, or a model in a test.
Everything except `drive` is plain data, which the journal keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, MutableMapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from sut.record.stalls import DISTURBING_SHARE
from sut.record.trace_facts import TraceFacts
from sut.serve.service_times import Measured
from sut.telemetry.neighbours import disturbance
from sut.tuner.job import Candidate, Variant  # msgspec reads the annotations

T = TypeVar("T")
# Receives progress lines.
Say: TypeAlias = Callable[[str], None]
# Predictions of the model by question; whoever starts a search keeps them.
Known: TypeAlias = MutableMapping[str, float]
Purpose = Literal["probe", "search", "confirm"]


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure S(b) of a variant on all devices at once, as in a run.

    Attributes:
        variant: the engines.
        sizes: batch sizes, ascending.
        bound_ns: sizes whose batch takes longer than this are useless; None for no bound.
        alone: also measure percentiles of batches that run alone.
        has_ladder: open the engines for exactly these sizes.
    """

    variant: Variant
    sizes: tuple[int, ...]
    bound_ns: float | None = None
    alone: bool = False
    has_ladder: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One LoadGen run in its own process.

    Attributes:
        purpose: probe: short, for its percentiles; search: for its verdict; confirm: full length.
        candidate: the settings.
        seconds: LoadGen's min_duration.
        target_qps: Server: queries/s.
    """

    purpose: Purpose
    candidate: Candidate
    seconds: float
    target_qps: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
        valid: LoadGen's verdict.
        metric: the scenario's own: samples/s, or a latency in ns.
        samples: completed.
        latency_ns: mean and percentiles.
        over: samples over the bound; None without a bound.
        histogram: batches by size.
        seconds: of the run, from the first query to the last answer.
        stopped: why it was stopped before its end, or empty.
        trace_facts: from its trace; None without a usable trace.
        folder: its run folder, from the tuning folder.
        reasons: why it was INVALID.
        busy: share of the time that each device computed.
        others: cores that other processes used meanwhile; None: unknown.
        stalled: share of the run in which LoadGen's own thread was held up.
        power_w: mean power of the device that drew most; None: not measured.
        memory_bytes: most memory used on one device; None: not measured.
    """

    valid: bool
    metric: float
    samples: int
    latency_ns: dict[str, float]
    over: int | None
    histogram: dict[int, int]
    seconds: float
    stopped: str = ""
    trace_facts: TraceFacts | None = None
    folder: str = ""
    reasons: tuple[str, ...] = ()
    busy: dict[str, float] = field(default_factory=dict)
    others: float | None = None
    stalled: float = 0.0
    power_w: float | None = None
    memory_bytes: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Return the figures that a constraint may name, if this run measured them."""
        measured = {"power": self.power_w, "mem": self.memory_bytes}
        return {
            **self.latency_ns,
            "throughput": self.metric,
            "busy": max(self.busy.values(), default=0.0),
            **{name: value for name, value in measured.items() if value is not None},
        }

    @property
    def disturbances(self) -> list[str]:
        """What disturbed the machine so much that the run shows little; empty if nothing."""
        found = [loud] if (loud := disturbance(self.others)) else []
        if self.stalled >= DISTURBING_SHARE:
            found.append(f"LoadGen's thread was held up for {self.stalled:.1%} of the run")
        return found

    @property
    def is_disturbed(self) -> bool:
        """Whether there was any disturbance."""
        return bool(self.disturbances)


@dataclass(frozen=True, slots=True)
class Predicted:
    """The model's prediction for a candidate.

    Attributes:
        candidate: the settings.
        qps: the highest rate within the bounds; Offline: samples/s.
        fill_ns: the time in which its batch fills at that rate.
        first_qps: rough rate from short simulations; a little too high for all candidates alike.
        is_fine: `qps` is from long simulations and several seeds; else it is the rough rate.
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
        corrected: (qps, ns), corrected by the runs.
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
        confirmed: the runs that prove it.
        is_valid: enough of them, and all VALID.
        target_qps: the rate; None for a scenario without one.
        confidence: that another run will be VALID, 0 to 1; None if nothing was proven, or a run
            cannot be INVALID.
        predictions: of all candidates, best first.
        curve: latency against rate.
        notes: for the user, one line each.
        slacks: every bound and constraint as text, with the room in the worst confirmation run as
            a share of the limit; below 0: broken.
    """

    candidate: Candidate
    confirmed: tuple[Outcome, ...]
    is_valid: bool
    target_qps: float | None = None
    confidence: float | None = None
    predictions: tuple[Predicted, ...] = ()
    curve: Curve = Curve()
    notes: tuple[str, ...] = ()
    slacks: tuple[tuple[str, float], ...] = ()


Ask: TypeAlias = Measure | Trial
Reply: TypeAlias = Measured | Outcome
# A part of a search that ends with a value, and a whole one.
Steps: TypeAlias = Generator[Ask, Reply, T]
Search: TypeAlias = Steps[Answer]


def drive(search: Search, answer: Callable[[Ask], Reply]) -> Answer:
    """Run a search to its end; whatever `answer` raises ends it."""
    try:
        ask = next(search)
        while True:
            ask = search.send(answer(ask))
    except StopIteration as end:
        found: Answer = end.value
        return found
