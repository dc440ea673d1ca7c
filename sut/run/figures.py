"""Which figures the runs of a plan will have: known before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL, open_engine
from sut.config.prepare import resolve_workload
from sut.telemetry.recorder import drawn, of_real_devices

if TYPE_CHECKING:
    from sut.config.plan import Plan


def has_telemetry(plan: Plan) -> bool:
    """Say whether `device_telemetry` of a run can have figures.

    Real devices are known by name. Simulated ones are known by their engines' facts: an engine
    without a model opens at once.

    Raises:
        SutError: an option of a simulated device is wrong.
    """
    harness = plan.harness
    if harness.backend not in WITHOUT_MODEL:
        return of_real_devices(harness.backend, harness.local_devices, Path()) is not None
    workload = resolve_workload(plan.benchmark, harness.backend, None)
    facts = []
    for device in harness.devices:
        engine = open_engine(harness.engine(workload, device))
        facts.append(dict(engine.facts))
        engine.close()
    return bool(drawn(facts, harness.devices))
