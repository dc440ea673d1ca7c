"""What the tuner varies: one candidate is one set of harness settings.

Knows neither how a candidate is measured nor how it is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

# Needed at run time: msgspec reads the annotations to decode the journal.
from backends.base import OptionValue
from data.schema import HarnessDefaults
from sut.config.settings import WorkerKind

US_PER_MS = 1e3


@dataclass(frozen=True, slots=True)
class Variant:
    """What changes the engines themselves, so that S(b) must be measured anew.

    Attributes:
        instances: engines on each device.
        options: of the backend, by name.
    """

    instances: int = 1
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        words = [f"{self.instances} instances"] if self.instances > 1 else []
        return ", ".join([*words, *(f"{key}={value}" for key, value in self.options)])


@dataclass(frozen=True, slots=True)
class Candidate:
    """Harness settings to try.

    Attributes:
        max_batch_size: samples.
        max_queue_delay_us: how long the oldest sample may wait for its batch to fill.
        slots: batches in flight a worker.
        workers: kind of worker.
        variant: engines.
        caps: samples by device, of devices that take fewer than `max_batch_size`.
    """

    max_batch_size: int
    max_queue_delay_us: int
    slots: int
    workers: WorkerKind
    variant: Variant = Variant()
    caps: tuple[tuple[str, int], ...] = ()

    def harness(self) -> HarnessDefaults:
        """Return it as a system file holds it."""
        return HarnessDefaults(
            max_batch_size=self.max_batch_size,
            device_max_batch_size=dict(self.caps) or None,
            max_queue_delay_us=self.max_queue_delay_us,
            slots=self.slots,
            instances=self.variant.instances,
            workers=self.workers,
            backend_options=dict(self.variant.options),
        )

    def __str__(self) -> str:
        """Return it in words: `batch 44, delay 4 ms, 2 slots, process workers`."""
        caps = f" ({', '.join(f'device {d}: {n}' for d, n in self.caps)})" if self.caps else ""
        parts = [
            f"batch {self.max_batch_size}{caps}",
            f"delay {self.max_queue_delay_us / US_PER_MS:g} ms",
            f"{self.slots} slot{'s' if self.slots > 1 else ''}",
            f"{self.workers} workers",
            str(self.variant),
        ]
        return ", ".join(filter(None, parts))
