"""The contract of a scenario: all that differs between LoadGen's four, in one place.

Code elsewhere asks a scenario for its properties, and never compares its name. Says nothing about
batching, threads or devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Number: TypeAlias = "int | float"
# The records of mlperf_log_detail.txt by key (the last one wins), as LoadGen wrote them.
Detail: TypeAlias = "Mapping[str, object]"
# When queries come: at random times; each when the one before is done; or one query with all.
Arrivals: TypeAlias = Literal["poisson", "closed_loop", "at_once"]
Objective: TypeAlias = Literal["throughput", "latency"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A scenario's figure of merit: LoadGen's own field, with its unit."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Load:
    """What the user asks of LoadGen; None: not given, so the scenario decides.

    Attributes:
        target_qps: Server: the Poisson rate, queries/s. Offline: the expected rate, samples/s.
        target_latency_ms: Server: the bound. SingleStream, MultiStream: the expected latency.
        min_duration_s: seconds; None keeps LoadGen's 600 s.
        min_query_count: queries (in Offline: samples of the one query); None keeps LoadGen's.
    """

    target_qps: float | None = None
    target_latency_ms: float | None = None
    min_duration_s: float | None = None
    min_query_count: int | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What warm-up measured on this machine with the settings of the run.

    Attributes:
        samples_per_s: all workers together at the full batch, typically.
        peak_samples_per_s: the same by the fastest batch of each worker: an upper limit.
        latency_ns: one query alone (SingleStream: 1 sample; MultiStream: 8), the fastest.
        max_batch_size: the largest batch, in samples, of the device that takes most; 0 in results
            of older versions.
    """

    samples_per_s: float
    peak_samples_per_s: float
    latency_ns: float
    max_batch_size: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is INVALID: the cause with its figures, and what to change."""

    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Expected:
    """The shortest run: `seconds` of schedule, and `samples`; None: no minimum."""

    seconds: float | None = None
    samples: int | None = None


class Scenario(Protocol):
    """One of LoadGen's four scenarios.

    Attributes:
        name: as LoadGen spells it: "Server".
        metric_name: LoadGen's field that the submission checker reads; `metric` returns it.
        metric_title: its name in tables, such as "p90 latency".
        objective: what makes a result better: more "throughput", or less "latency".
        arrivals: when queries come. "poisson": at random times, at `target_qps`. "closed_loop":
            each when the one before is done, so the engine sets the pace. "at_once": one query with
            every sample, sized by `target_qps`, the expected rate.
        has_bound: a latency bound decides whether a run is VALID (`target_latency` in user.conf),
            so the tuner looks for the highest rate within it.
        samples_per_query: 1, or 8 in MultiStream; in Offline the one query holds everything, and
            this is 1.
        default_workers: "inline" where LoadGen waits for each query, else "thread".
        searches: harness settings that the tuner may vary for it, by name.
    """

    name: str
    metric_name: str
    metric_title: str
    objective: Objective
    arrivals: Arrivals
    has_bound: bool
    samples_per_query: int
    default_workers: str
    searches: tuple[str, ...]

    def check(self, load: Load) -> None:
        """Refuse values that this scenario cannot use, before anything runs.

        Raises:
            ConfigError: a value of `load` is out of range, or has no meaning here.
        """

    def settings(
        self, load: Load, capacity: Capacity, conf: Mapping[str, Number], accuracy: bool
    ) -> dict[str, Number]:
        """Return user.conf keys (LoadGen's names and units) for what `conf` does not already set.

        `conf` holds what the user's user.conf sets for this model and scenario. `load` is the
        command line or system file and wins over `conf`. With the result a run
        never runs out of queries: see loadgen.cc, the pre-generated query count.

        Raises:
            ConfigError: see `check`.
        """

    def expected(self, conf: Mapping[str, Number]) -> Expected:
        """Return how far a performance run goes with these keys of user.conf."""

    def metric(self, detail: Detail) -> Metric:
        """Return the figure that the submission checker reads for this scenario."""

    def latency_ns(self, detail: Detail) -> dict[str, float]:
        """Return mean, p50, p90, p95, p97, p99 and p999, in ns.

        Of a query in MultiStream, else of a sample.
        """

    def reasons(self, detail: Detail) -> list[Reason]:
        """Explain every condition that made the run INVALID, and every error that LoadGen logged.

        Empty for a VALID run without errors. LoadGen's verdict ignores its own errors, but a
        submission checker refuses a log with errors.
        """
