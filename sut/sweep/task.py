"""What a sweep measures: one task a point. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.base import PREPARES_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.config.plan import Plan
    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload
    from sut.load.loads import LoadSpec
    from sut.record.table import Value


@dataclass(frozen=True, slots=True)
class Task:
    """One point.

    Attributes:
        point: where it is, by axis.
        setting: the part of it that is not the load's.
        plan: the settings.
        workload: the model and its prepared samples.
        load: what is sent.
    """

    point: Mapping[str, Value]
    setting: Mapping[str, Value]
    plan: Plan
    workload: Workload
    load: LoadSpec

    def about(self) -> dict[str, str]:
        """Return what to say of it in the configuration, beside or instead of what is there."""
        return {}

    @property
    def harness(self) -> HarnessSettings:
        """How batches are made: in "offline", a request is a batch, whatever the plan says.

        A single engine then runs on the thread that asks, which waits for it anyway.
        """
        harness = self.plan.harness
        if self.load.kind != "offline":
            return harness
        size = self.load.request_batch
        graphs = {"graph_sizes": size} if harness.backend in PREPARES_SIZES else {}
        is_alone = harness.workers == "thread" and sum(1 for _ in harness.worker_devices()) == 1
        return replace(
            harness,
            workers="inline" if is_alone else harness.workers,
            max_batch_size=size,
            device_max_batch_size={},
            max_queue_delay_us=0,
            slots=1,
            chooses_batch=False,
            backend_options={**harness.backend_options, **graphs},
        )
