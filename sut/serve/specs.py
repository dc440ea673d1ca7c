"""What describes a system, and what its workers are made of: plain data out of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sut.serve.workers.connection import ProcessSpec
from sut.serve.workers.executor import ExecutorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.settings import HarnessSettings, Lent, Limits
    from sut.config.workload import Workload


class SystemRequest(Protocol):
    """What describes a system; the requests of the loads contain more."""

    @property
    def workload(self) -> Workload:
        """The model and its samples."""

    @property
    def harness(self) -> HarnessSettings:
        """How batches are made, and which workers run them."""


def process_specs(
    request: SystemRequest, limits: Limits, lent: Sequence[Lent]
) -> list[ProcessSpec]:
    """Return what the worker processes of a system are made of."""
    specs = [
        (name, executor_spec(request, device)) for name, device in request.harness.worker_devices()
    ]
    return [
        ProcessSpec(
            name,
            index,
            spec,
            spec.cpus,
            hang_floor_s=limits.worker_hang_s,
            close_s=limits.close_s,
            stopped_s=limits.stopped_s,
            lent=lent[index] if lent else None,
        )
        for index, (name, spec) in enumerate(specs)
    ]


def executor_spec(request: SystemRequest, device: str) -> ExecutorSpec:
    """Return what a worker on `device` needs to open its engine."""
    workload = request.workload
    harness = request.harness
    engine, cpus = harness.engine(workload, device), harness.affinity.get(device, "")
    threads = harness.threads(device)
    return ExecutorSpec(engine, workload.postprocess, cpus, harness.chooses_batch, threads)
