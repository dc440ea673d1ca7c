"""Kinds of device whose S(b) is known without a run: simulated, or measured by a tuning.

Opens no engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from backends.base import EngineSpec
from backends.ladder import read_sizes
from backends.simulated.curve import NS_PER_MS, Scaled
from backends.simulated.engine import described
from backends.simulated.jitter import Jitter
from sut.base.errors import ConfigError, DataError
from sut.record.journal import JOURNAL_FILE
from sut.serve.service_times import Measured, Point
from sut.tuner.journal import answers
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Measure, Outcome
from sut.tuner.space import BOUNDED_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.tuner.job import Variant

SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of device.

    Attributes:
        name: of the system or folder; with its device, where that has several kinds.
        points: S(b) by batch size.
        origin: of S(b), in one line.
        simulated: no real device was measured.
        is_async: takes several batches at once.
        instances: engines on one device.
        learnt: jitter of its batches.
        copy_in_ns: what each sample adds to the way to the device.
        sizes: batch sizes that its engine really runs, ascending; empty: every size.
        power_w: of one device, idle and busy; None: unknown.
        notes: what the queue model leaves out.
    """

    name: str
    points: dict[int, Point]
    origin: str
    simulated: bool
    is_async: bool = True
    instances: int = 1
    learnt: Learnt = field(default_factory=Learnt)
    copy_in_ns: float = 0.0
    sizes: tuple[int, ...] = ()
    power_w: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def measured(self, devices: int) -> Measured:
        """Return S(b) of so many of them."""
        workers = tuple(
            (str(device), self.points) for device in range(devices) for _ in range(self.instances)
        )
        return Measured(workers, self.is_async, copy_in_ns=self.copy_in_ns)

    def watts(self, busy: float) -> float | None:
        """Return the power of one device that computes this share of the time."""
        if self.power_w is None:
            return None
        idle_w, busy_w = self.power_w
        return idle_w + busy * (busy_w - idle_w)


def simulated_kinds(plan: Plan) -> list[Kind]:
    """Return the kinds of a system of simulated devices.

    Raises:
        ConfigError: its devices are real ones, or have no S(b) for this benchmark.
    """
    harness = plan.harness
    if harness.backend != SIMULATED:
        raise ConfigError(
            f"--system {plan.system}: its backend is {harness.backend}, whose S(b) only a "
            f"measurement shows. Tune it (sut tune -b {plan.benchmark.name} -s Server --system "
            f"{plan.system}), and give the folder of that: --measured runs/tune-..."
        )
    found: dict[str, Kind] = {}
    for device in harness.devices:
        # A device that only takes time needs no model.
        options = harness.backend_options
        spec = EngineSpec(SIMULATED, None, (), None, 1, device, options, harness.slots)
        try:
            found[device] = _simulated(plan.system, spec)
        except ConfigError as error:
            raise ConfigError(
                f"--system {plan.system}: no S(b) for {plan.benchmark.name}; expected a "
                f"benchmark (-b) that its system.yaml has a curve for: {error}"
            ) from error
    return _distinct(found)


def measured_kinds(folder: Path) -> list[Kind]:
    """Return the kinds that a tuning of Server measured in its folder.

    Raises:
        DataError: it holds no tuning, or one that measured nothing.
    """
    if not (folder / JOURNAL_FILE).is_file():
        raise DataError(
            f"--measured {folder}: no {JOURNAL_FILE} in it; expected the folder of sut tune."
        )
    points: dict[Variant, Measured] = {}
    power_w = 0.0
    try:
        for ask, reply in answers(folder):
            if isinstance(ask, Measure) and isinstance(reply, Measured):
                before = points.get(ask.variant)
                points[ask.variant] = reply if before is None else before.with_more(reply)
            elif isinstance(reply, Outcome):
                power_w = max(power_w, reply.power_w or 0.0)
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise DataError(
            f"--measured {folder}: {JOURNAL_FILE}: {error}; expected that of sut tune."
        ) from error
    if not points:
        raise DataError(f"--measured {folder}: the tuning measured no S(b). Let it go on.")
    kinds = []
    for variant, measured in points.items():
        name = f"{folder.name} ({variant})" if len(points) > 1 else folder.name
        kinds += _measured(name, variant, measured, power_w or None)
    return kinds


def _measured(name: str, variant: Variant, measured: Measured, power_w: float | None) -> list[Kind]:
    """Return the kinds of one variant; equal devices are one kind, by the first of them."""
    by_device: dict[str, dict[int, Point]] = {}
    for device, points in measured.workers:
        by_device.setdefault(device, points)
    devices = by_device if measured.is_uneven else dict(list(by_device.items())[:1])
    return [
        Kind(
            name=f"{name}:{device}" if len(devices) > 1 else name,
            points=points,
            origin=f"measured by sut tune, batches of {min(points)} to {max(points)}",
            simulated=False,
            is_async=measured.is_async,
            instances=variant.instances,
            copy_in_ns=measured.copy_in_ns,
            # The mean of a run near its highest rate; that of an idle device is not known.
            power_w=None if power_w is None else (power_w, power_w),
        )
        for device, points in devices.items()
    ]


def _distinct(by_device: Mapping[str, Kind]) -> list[Kind]:
    """Return each kind once; several are named after their first device, too."""
    found: list[tuple[str, Kind]] = []
    for device, kind in by_device.items():
        if kind not in [other for _, other in found]:
            found.append((device, kind))
    if len(found) == 1:
        return [found[0][1]]
    return [replace(kind, name=f"{kind.name}:{device}") for device, kind in found]


def _simulated(system: str, spec: EngineSpec) -> Kind:
    options, curve = described(spec)
    scaled = Scaled(curve, options.slow)
    # The corners of the curve, so that the model interpolates between no others.
    sizes = {*BOUNDED_SIZES, *(size for size, _ in curve.points_ms)}
    times = {size: scaled.service_ns(size) for size in sorted(sizes)}
    jitter = Jitter(
        options.jitter, options.jitter_spread, options.outlier_share, options.outlier_factor
    )
    power_w = None if options.power_w is None else (options.idle_w, options.power_w)
    notes = () if options.tail_every is None else ("its longest batches (tail_every) are left out",)
    graphs = options.graph_sizes
    return Kind(
        name=system,
        points={size: Point(ns, ns, ns) for size, ns in times.items()},
        origin=curve.provenance,
        simulated=True,
        learnt=Learnt(jitter=jitter),
        copy_in_ns=options.copy_in_ms_per_sample * NS_PER_MS,
        sizes=() if graphs == "" else read_sizes(graphs, max(times), f"--system {system}"),
        power_w=power_w,
        notes=notes,
    )
