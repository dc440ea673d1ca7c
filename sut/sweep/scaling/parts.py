"""The first nodes of a plan, with and without the wire. Without a cluster, a device is a node.

Pure: plans in, plans out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL
from sut.base.errors import ConfigError
from sut.config.cluster import own_name
from sut.load.loads import LoadSpec
from sut.sweep.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.plan import Plan
    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload
    from sut.record.table import Value

NODES, LOAD, PLACE, QPS = "nodes", "load", "place", "qps"
FULL, RATE = "full", "rate"
HERE, THERE = "here", "nodes"


@dataclass(frozen=True, slots=True)
class Part:
    """So many nodes.

    Attributes:
        nodes: number of them.
        full_plan: for every slot full.
        rate_plan: for random arrivals.
        full: its settings; where possible also those without the wire.
        rate: the same for random arrivals.
    """

    nodes: int
    full_plan: Plan
    rate_plan: Plan
    full: tuple[HarnessSettings, ...]
    rate: tuple[HarnessSettings, ...]

    @classmethod
    def of(cls, nodes: int, full_plan: Plan, rate_plan: Plan) -> Part:
        """Return the first nodes of two plans."""
        return cls(nodes, full_plan, rate_plan, _both(full_plan, nodes), _both(rate_plan, nodes))

    @property
    def workers(self) -> int:
        """Of all its nodes."""
        return sum(1 for _ in self.full[0].worker_devices())


def most_nodes(plan: Plan) -> int:
    """Return how many nodes a plan has."""
    harness = plan.harness
    return len(harness.devices if harness.remote is None else harness.remote.nodes)


def default_steps(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and the largest."""
    return [*(1 << k for k in range(most.bit_length()) if 1 << k < most), most]


def check_steps(steps: Sequence[int], most: int) -> None:
    """Refuse more nodes than there are.

    Raises:
        ConfigError: there are fewer.
    """
    if max(steps) > most:
        raise ConfigError(f"--steps: {max(steps)} nodes; there are {most}.")


def part(harness: HarnessSettings, nodes: int) -> HarnessSettings:
    """Return the settings of the first nodes alone."""
    remote = harness.remote
    if remote is None:
        return replace(harness, devices=harness.devices[:nodes])
    kept = remote.nodes[:nodes]
    devices = tuple(device for node in kept for device in node.worker_devices)
    return replace(harness, devices=devices, remote=replace(remote, nodes=kept))


def _both(plan: Plan, nodes: int) -> tuple[HarnessSettings, ...]:
    there = part(plan.harness, nodes)
    local = here(there)
    return (there,) if local is None else (there, local)


def here(harness: HarnessSettings) -> HarnessSettings | None:
    """Return the same devices as process workers of this machine; None: they are not here."""
    if harness.remote is None or harness.backend not in WITHOUT_MODEL:
        return None
    # Each keeps the name of its node, because no two workers here may have one name.
    options = {
        f"{name}@{device}": value
        for key, value in harness.backend_options.items()
        for name, at, own in [key.partition("@")]
        for device in harness.devices
        if at and own_name(device) == own
    }
    shared = {key: value for key, value in harness.backend_options.items() if "@" not in key}
    return replace(harness, workers="process", backend_options={**shared, **options}, remote=None)


def task_of(
    plan: Plan, harness: HarnessSettings, workload: Workload, nodes: int, qps: float | None
) -> Task:
    """Return the point of so many nodes.

    Args:
        plan: of the scenario that the settings are of.
        harness: see `part` and `here`.
        workload: the model and its samples.
        nodes: that `harness` has.
        qps: of the load; None: every slot holds a full batch, all the time.
    """
    place = HERE if harness.remote is None else THERE
    point: dict[str, Value]
    if qps is not None:
        point = {NODES: nodes, LOAD: RATE, PLACE: place, QPS: qps}
        load = LoadSpec("poisson", qps=qps)
    else:
        point = {NODES: nodes, LOAD: FULL, PLACE: place}
        in_flight = harness.slots * sum(1 for _ in harness.worker_devices())
        load = LoadSpec("closed", harness.max_batch_size, in_flight)
    return Task(point, {}, replace(plan, harness=harness), workload, load)
