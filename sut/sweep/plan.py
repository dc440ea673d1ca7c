"""What a sweep measures, put together: a task for each combination of settings and loads.

Resolves configurations, models and samples once each. Runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.base import REMOTE, WITHOUT_MODEL
from backends.onnxruntime.precision import FORMS
from data.calibration import default_source
from data.model import ResolvedModel
from sut.base.errors import ConfigError, nearest
from sut.base.progress import show_progress
from sut.config.plan import resolve
from sut.config.prepare import prepared_samples, resolve_workload
from sut.models.precision import Source, converted
from sut.sweep.points import combinations
from sut.sweep.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.preprocess import SampleSet
    from sut.config.arguments import Arguments
    from sut.config.plan import Plan
    from sut.config.workload import Workload
    from sut.load.loads import LoadSpec
    from sut.record.table import Value

    Axes = Mapping[str, Sequence[Value]]

# Axes that are settings of the harness; "graphs" and "precision" are made here, and any other is an
# option of the backend.
HARNESS_AXES = (
    "backend", "resolution", "workers", "instances", "slots", "max_batch_size",
    "max_queue_delay_us",
)  # fmt: skip
PRECISION, GRAPHS, DEVICES = "precision", "graphs", "devices"
# The model as it is.
AS_IS = "fp32"
# The field of a load that each axis of loads sets.
_LOAD_FIELDS = {"batch": "request_batch"}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the user asked for.

    Attributes:
        arguments: what every point has in common.
        settings: axes of settings, with their values; one with a single value is no axis of the
            table.
        load: what every load has in common.
        loads: axes of loads.
    """

    arguments: Arguments
    settings: Axes
    load: LoadSpec
    loads: Axes

    @property
    def points(self) -> list[dict[str, Value]]:
        """All combinations, loads changing fastest."""
        varied = {axis: values for axis, values in self.settings.items() if len(values) > 1}
        return combinations({**varied, **self.loads})


class Planner:
    """Makes the tasks; models and samples are looked up once for each that differs."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._workloads: dict[tuple[bool, bool, Value, str], Workload] = {}
        self._samples: dict[str, SampleSet] = {}
        self.identity: dict[str, str] = {}

    def plans(self) -> list[tuple[dict[str, Value], Plan]]:
        """Return every setting with its plan; reads no model and no sample.

        Raises:
            ConfigError: a setting is wrong.
        """
        return [
            (setting, resolve(_with(self._sweep.arguments, setting)))
            for setting in combinations(self._sweep.settings)
        ]

    def checked(self) -> list[tuple[dict[str, Value], Plan]]:
        """Return `plans`, with the options of the backend checked, too.

        Raises:
            ConfigError: a setting or an option is wrong.
        """
        found = self.plans()
        for _, plan in found:
            plan.harness.check_options()
        return found

    def tasks(self) -> list[Task]:
        """Return all tasks.

        Raises:
            SutError: a model or samples are not there, or a setting is wrong.
        """
        loads = combinations(self._sweep.loads)
        found = []
        for setting, plan in self.plans():
            workload = self._workload(plan, setting.get(PRECISION, ""))
            varied = {a: v for a, v in setting.items() if len(self._sweep.settings[a]) > 1}
            for values in loads:
                load = _load(self._sweep.load, values, plan)
                found.append(Task({**varied, **values}, varied, plan, workload, load))
        return found

    def _workload(self, plan: Plan, precision: Value) -> Workload:
        backend = plan.harness.backend
        key = (backend in WITHOUT_MODEL, backend in REMOTE, precision, plan.benchmark.name)
        if key not in self._workloads:
            self._workloads[key] = self._made(plan, str(precision))
        return self._workloads[key]

    def _made(self, plan: Plan, precision: str) -> Workload:
        arguments, backend = plan.arguments, plan.harness.backend
        workload = resolve_workload(plan.benchmark, backend, arguments.model)
        if backend in WITHOUT_MODEL:
            return workload.with_samples(None)
        if precision not in {"", AS_IS}:
            if backend in REMOTE:
                raise ConfigError(
                    f"--precision {precision}: backend {backend} has its server's model. Serve it "
                    "in another precision."
                )
            workload = in_precision(plan, workload, precision)
        name = plan.benchmark.name
        # The benchmark's own samples have no size in their name; those of another one do.
        of_size = name if arguments.resolution else ""
        if name not in self._samples:
            self._samples[name] = prepared_samples(plan.benchmark, arguments.data)
            self.identity[f"data {of_size}".strip()] = self._samples[name].digest
        if workload.model is not None:
            what = " ".join(filter(None, ("model", precision, of_size)))
            self.identity[what] = workload.model.sha256
        return workload.with_samples(self._samples[name])


def _with(arguments: Arguments, setting: Mapping[str, Value]) -> Arguments:
    """Return the command line with a setting in it."""
    fields: dict[str, object] = {}
    options = dict(arguments.backend_options)
    for axis, value in setting.items():
        if axis in HARNESS_AXES:
            fields[axis] = value
        elif axis == DEVICES:
            fields[axis] = tuple(str(value).split(","))
        elif axis == GRAPHS:
            options["graph_sizes"] = value
        elif axis == PRECISION:
            _check(str(value))
        else:
            options[axis] = value
    return replace(arguments, backend_options=options, **fields)  # type: ignore[arg-type]  # by axis


def _check(precision: str) -> None:
    known = [AS_IS, "int8", *FORMS]
    if precision not in known:
        raise ConfigError(
            f'--precision: "{precision}"; expected one of {", ".join(known)}.'
            f"{nearest(precision, known)}"
        )


def in_precision(plan: Plan, workload: Workload, precision: str) -> Workload:
    """Return the workload with its model in a precision, made now or kept from before."""
    on_host = plan.harness.backend == "onnxruntime"
    form = {"int8": "int8-ort" if on_host else "int8-trt"}.get(precision, precision)
    return in_form(plan.benchmark, plan.arguments.data, workload, form)


def in_form(benchmark: Benchmark, data: Path | None, workload: Workload, form: str) -> Workload:
    """Return the workload with its model in a form of FORMS, made now or kept from before.

    Raises:
        SutError: it cannot be converted, or a sample for its calibration is missing.
    """
    source = Source(benchmark, workload, data, default_source(benchmark))
    with show_progress(f"making {form}") as progress:
        made = converted(source, form, progress=progress)
    origin = f"{source.model.origin}, made {form}"
    return workload.with_model(ResolvedModel(made.path, made.note.sha256, origin))


def _load(base: LoadSpec, values: Mapping[str, Value], plan: Plan) -> LoadSpec:
    fields = {_LOAD_FIELDS.get(axis, axis): value for axis, value in values.items()}
    if base.kind == "offline":
        fields["concurrency"] = sum(1 for _ in plan.harness.worker_devices())
    return replace(base, **fields)  # type: ignore[arg-type]  # by axis
