"""The points of one variant, with its model converted, and in the format that it asks for."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data.model import ENGINE_SUFFIXES, ResolvedModel
from sut.base.errors import ConfigError, EngineError
from sut.base.files import cache_folder, sha256_file, temporary_folder
from sut.config.arguments import Arguments
from sut.config.prepare import resolve_workload
from sut.load.loads import LoadSpec
from sut.sweep.plan import Planner, Sweep
from sut.sweep.points import integers
from sut.sweep.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.config.plan import Plan
    from sut.config.workload import Workload
    from sut.load.loads import Kind
    from sut.record.table import Value
    from sut.sweep.plan_file import StudyPlan, Variant

OFFLINE: Kind = "offline"
ONLINE: Kind = "closed"
VARIANT = "variant"  # the axis


def kinds(plan: StudyPlan) -> list[Kind]:
    """Return the loads of a plan."""
    wanted: list[tuple[Kind, object]] = [(OFFLINE, plan.offline), (ONLINE, plan.online)]
    return [kind for kind, load in wanted if load is not None]


def settings_of(plan: StudyPlan, variant: Variant, kind: Kind) -> Plan:
    """Return the settings of a variant; reads no model and no sample.

    Raises:
        ConfigError: one of them is wrong; it names the variant.
    """
    try:
        (found,) = Planner(_sweep(plan, variant, kind)).plans()
    except ConfigError as error:
        raise ConfigError(f'variant "{variant.name}": {error}') from error
    return found[1]


def tasks_of(plan: StudyPlan, variant: Variant) -> tuple[list[Task], dict[str, str]]:
    """Return all points of a variant, and hashes by what they identify.

    Raises:
        SutError: its model or samples are not there, or its model cannot be converted.
    """
    found: list[Task] = []
    identity: dict[str, str] = {}
    for kind in kinds(plan):
        planner = Planner(_sweep(plan, variant, kind))
        for task in planner.tasks():
            workload = task.workload if variant.format == "onnx" else _scripted(task.workload)
            setting = {VARIANT: variant.name}
            named = replace(task, point={**setting, **task.point}, setting=setting)
            found.append(replace(named, workload=workload))
        identity |= planner.identity
    model = found[0].workload.model
    if model is not None:
        identity = {"data": identity["data"], f"model {variant.name}": model.sha256}
    return found, identity


def without_model(plan: StudyPlan, variant: Variant, kind: Kind) -> Task:
    """Return a point for a variant that is not measured."""
    settings = settings_of(plan, variant, kind)
    workload = resolve_workload(settings.benchmark, "null", None)
    setting = {VARIANT: variant.name}
    return Task(setting, setting, settings, workload, LoadSpec(kind))


def _sweep(plan: StudyPlan, variant: Variant, kind: Kind) -> Sweep:
    arguments = Arguments(
        benchmark=variant.benchmark,
        scenario="Offline" if kind == OFFLINE else "Server",
        system=variant.system,
        model=variant.model,
    )
    loads: Mapping[str, Sequence[Value]]
    if kind == OFFLINE:
        assert plan.offline is not None, "it is a load of the plan"
        options = plan.offline.options
        loads = {"batch": integers("batches", str(plan.offline.batches))}
    else:
        assert plan.online is not None, "it is a load of the plan"
        options = plan.online.options
        loads = {"concurrency": integers("concurrency", str(plan.online.concurrency))}
        if plan.online.request_batch > 1:
            loads = {"request_batch": [plan.online.request_batch], **loads}
    axes = {axis: [value] for axis, value in {**variant.axes, **options}.items()}
    return Sweep(arguments, axes, LoadSpec(kind), loads)


def _scripted(workload: Workload) -> Workload:
    """Return the workload with its ONNX model as TorchScript, made now or kept from before."""
    model = workload.model
    if model is None or Path(model.path).suffix in ENGINE_SUFFIXES:
        raise EngineError("format torchscript is made of an ONNX model; this variant has none.")
    if find_spec("torch") is None:
        raise EngineError("format torchscript needs the package torch; install it.")
    target = cache_folder() / "models" / f"{Path(model.path).stem}-{model.sha256[:8]}.pt"
    if not target.is_file():
        from backends.torch.script import save_script  # noqa: PLC0415 - it imports torch

        with temporary_folder(target.parent) as folder:
            made = folder / target.name
            save_script(Path(model.path), made, workload.inputs)
            made.replace(target)
    origin = f"{model.origin}, as TorchScript"
    return workload.with_model(ResolvedModel(target, sha256_file(target), origin))
