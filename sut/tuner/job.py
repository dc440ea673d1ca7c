"""What to tune: candidates, the space that they come from, and the job with its goals.

Plain data. Knows neither how candidates are measured nor how they are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

# Needed at run time: msgspec reads the annotations to decode the journal.
from backends.base import OptionValue
from backends.ladder import sizes_text
from data.harness_defaults import HarnessDefaults, QueueDelay
from scenarios import scenario
from scenarios.base import Scenario
from sut.config.constraints import Constraint
from sut.config.settings import WorkerKind

US_PER_MS, NS_PER_MS = 1e3, 1e6


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings that change the engines themselves, and so S(b).

    Attributes:
        instances: engines on each device.
        options: of the backend, by name.
    """

    instances: int = 1
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __str__(self) -> str:
        """Return a short description."""
        words = [f"{self.instances} instances"] if self.instances > 1 else []
        return ", ".join([*words, *(f"{key}={value}" for key, value in self.options)])


@dataclass(frozen=True, slots=True)
class Candidate:
    """Harness settings to try.

    Attributes:
        max_batch_size: samples.
        max_queue_delay_us: how long the oldest sample may wait for its batch to fill, or "late".
        slots: batches in flight per worker.
        workers: kind of worker.
        variant: engines.
        caps: largest batch by device, for devices below `max_batch_size`.
        sizes: the engines' ladder, ascending, up to `max_batch_size`; empty: the engines' own.
    """

    max_batch_size: int
    max_queue_delay_us: QueueDelay
    slots: int
    workers: WorkerKind
    variant: Variant = Variant()
    caps: tuple[tuple[str, int], ...] = ()
    sizes: tuple[int, ...] = ()

    def cap(self, device: str) -> int:
        """Return the largest batch of a device, in samples."""
        return min(self.max_batch_size, dict(self.caps).get(device, self.max_batch_size))

    def ladder(self, device: str) -> tuple[int, ...]:
        """Return the ladder of a device, up to its own largest batch."""
        cap = self.cap(device)
        return (*(size for size in self.sizes if size < cap), cap) if self.sizes else ()

    def options(self) -> dict[str, OptionValue]:
        """Return the options of the backend."""
        ladder = {"graph_sizes": sizes_text(self.sizes)} if self.sizes else {}
        return {**dict(self.variant.options), **ladder}

    def harness(self) -> HarnessDefaults:
        """Return it in the form of a system file."""
        return HarnessDefaults(
            max_batch_size=self.max_batch_size,
            device_max_batch_size=dict(self.caps) or None,
            max_queue_delay_us=self.max_queue_delay_us,
            slots=self.slots,
            instances=self.variant.instances,
            # Where remote workers are is said by a cluster file, not by tuned.yaml.
            workers=None if self.workers == "remote" else self.workers,
            backend_options=self.options(),
        )

    def __str__(self) -> str:
        """Return a description: `batch 44, delay 4 ms, 2 slots, process workers`."""
        caps = f" ({', '.join(f'device {d}: {n}' for d, n in self.caps)})" if self.caps else ""
        parts = [
            f"batch {self.max_batch_size}{caps}",
            _delay_words(self.max_queue_delay_us),
            f"{self.slots} slot{'s' if self.slots > 1 else ''}",
            f"{self.workers} workers",
            f"graphs {sizes_text(self.sizes)}" if self.sizes else "",
            str(self.variant),
        ]
        return ", ".join(filter(None, parts))


def _delay_words(delay_us: QueueDelay) -> str:
    return "closing late" if isinstance(delay_us, str) else f"delay {delay_us / US_PER_MS:g} ms"


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper limit on a latency.

    Attributes:
        name: a key of QueueResult.latency_ns, such as "p99".
        limit_ns: the limit.
        share: for LoadGen's own bound, the percentile below 1. Early stopping applies to it: the
            shorter a run, the more it must be better than the percentile. None for a user's bound.
    """

    name: str
    limit_ns: float
    share: float | None = None

    @property
    def limit_ms(self) -> float:
        """The limit in ms."""
        return self.limit_ns / NS_PER_MS

    def reached(self, latency_ns: float) -> str:
        """Return a latency beside its limit: `p99 14.2 of 15 ms`."""
        return f"{self.name} {latency_ns / NS_PER_MS:.4g} of {self.limit_ms:g} ms"


@dataclass(frozen=True, slots=True)
class Space:
    """The values to try. A value that the user fixed is the only one in its tuple.

    Attributes:
        variants: engines.
        workers: kinds; the first is the system's own.
        sizes: batch sizes to measure S(b) at, ascending.
        batches: batch sizes to try, ascending; empty: chosen from S(b).
        delays_us: queue delays to try; empty: late closing, and delays by the fill time.
        slots: batches in flight; empty: chosen by kind of engine.
        largest_batch: no larger batch is tried.
        has_ladder: the engines run only the sizes that they are opened for, and each takes time to
            prepare: few are measured, and a candidate names its own.
        names_instances: the user listed numbers of engines, so all of them are measured.
    """

    variants: tuple[Variant, ...] = (Variant(),)
    workers: tuple[WorkerKind, ...] = ("thread",)
    sizes: tuple[int, ...] = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    batches: tuple[int, ...] = ()
    delays_us: tuple[QueueDelay, ...] = ()
    slots: tuple[int, ...] = ()
    largest_batch: int | None = None
    has_ladder: bool = False
    names_instances: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One tuning.

    Attributes:
        scenario: as LoadGen spells it.
        bounds: latency bounds; the first is LoadGen's own if the scenario has one.
        space: what may vary.
        budget: Offline: a bound on the time of a batch that runs alone.
        constraints: of the user, in addition to LoadGen's bound.
        probe_s: length of a probe.
        confirm_s: length of a confirmation run.
        confirm_runs: how many must be VALID in a row.
        confidence: required probability that the next run is VALID, from 0 to 1.
    """

    scenario: str
    bounds: tuple[Bound, ...] = ()
    space: Space = Space()
    budget: Bound | None = None
    constraints: tuple[Constraint, ...] = ()
    probe_s: float = 10.0
    confirm_s: float = 60.0
    confirm_runs: int = 3
    confidence: float = 0.95

    @property
    def bound(self) -> Bound:
        """The first bound: LoadGen's own."""
        return self.bounds[0]

    @property
    def rules(self) -> Scenario:
        """The scenario's rules."""
        return scenario(self.scenario)

    @property
    def is_for_throughput(self) -> bool:
        """Whether the goal is many samples/s, not short latencies."""
        return self.rules.objective == "throughput"
