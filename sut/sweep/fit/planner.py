"""The places of `sut fit`: resolution x precision x instances, with their models. Runs nothing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from backends.base import REMOTE, WITHOUT_MODEL
from data.variant import in_dtype, made_model, parse_resolution
from sut.base.errors import ConfigError
from sut.base.onnx_file import external_files
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.sweep.engine_options import options_of_own
from sut.sweep.fit.session import INSTANCES
from sut.sweep.fit.trier import Target
from sut.sweep.plan import AS_IS, in_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.arguments import Arguments
    from sut.config.plan import Plan
    from sut.config.workload import Workload
    from sut.record.table import Value

RESOLUTION, PRECISION = "resolution", "precision"
_DTYPES: dict[str, Literal["float32", "float16"]] = {"fp32": "float32", "fp16": "float16"}


@dataclass(frozen=True, slots=True)
class Axes:
    """What is varied; an empty axis is left to the benchmark.

    Attributes:
        resolutions: such as "512" or "720x1280".
        precisions: "fp32", "fp16", "int8" and the forms of `sut quantize`.
        instances: processes that run the batch at the same time; empty: one, whatever the system
            has.
    """

    resolutions: Sequence[str] = ()
    precisions: Sequence[str] = ()
    instances: Sequence[int] = ()


class Planner:
    """Makes the targets; each model is resolved once.

    Args:
        arguments: what all have in common.
        axes: what is varied.
    """

    def __init__(self, arguments: Arguments, axes: Axes) -> None:
        self._arguments, self._axes = arguments, axes
        self.plan = resolve(arguments)
        self.plan.harness.check_options()
        _check(self.plan)
        self.identity: dict[str, str] = {}

    @property
    def device(self) -> str:
        """The only one."""
        return self.plan.harness.devices[0]

    def targets(self) -> list[Target]:
        """Return all, instances changing fastest.

        Raises:
            SutError: a model is not there, or a value is wrong.
        """
        axes, found = self._axes, []
        instances = axes.instances or (1,)
        for resolution, precision in itertools.product(
            axes.resolutions or ("",), axes.precisions or ("",)
        ):
            plan, workload = self._made(resolution, precision)
            point: dict[str, Value] = {}
            if resolution:
                height, width = parse_resolution(resolution)
                point[RESOLUTION] = f"{height}x{width}"
            if precision:
                point[PRECISION] = precision
            weights = _weights_bytes(workload)
            for count in instances:
                harness = replace(
                    plan.harness,
                    instances=count,
                    devices=(self.device,),
                    chooses_batch=False,
                    backend_options=options_of_own(plan),
                )
                target = Target({**point, INSTANCES: count}, workload, harness, weights)
                found.append(target)
        return found

    def _made(self, resolution: str, precision: str) -> tuple[Plan, Workload]:
        plan = resolve(replace(self._arguments, resolution=resolution or None))
        made, form = made_model(plan.benchmark) is not None, precision
        if made and precision:
            # int8 is made of float32; the others are made as they are.
            dtype = _DTYPES.get(precision, "float32")
            plan = replace(plan, benchmark=in_dtype(plan.benchmark, dtype))
            form = "" if precision in _DTYPES else precision
        workload = resolve_workload(plan.benchmark, plan.harness.backend, self._arguments.model)
        if form not in {"", AS_IS}:
            workload = in_precision(plan, workload, form)
        if workload.model is not None:
            what = " ".join(filter(None, ("model", resolution, precision)))
            self.identity[what] = workload.model.sha256
        return plan, workload


def _check(plan: Plan) -> None:
    """Refuse what has no memory here."""
    backend, devices = plan.harness.backend, plan.harness.devices
    if backend in WITHOUT_MODEL | REMOTE:
        raise ConfigError(
            f"backend {backend} keeps no model in this machine, so nothing has to fit. Name "
            "another --backend."
        )
    if plan.arguments.devices is not None and len(devices) > 1:
        raise ConfigError(
            f"--devices {','.join(devices)}: a batch fits into one device; expected one of them."
        )


def _weights_bytes(workload: Workload) -> int:
    """Return the size of the model with all its files."""
    assert workload.model is not None, "backends without one are refused"
    path = Path(workload.model.path)
    return sum(file.stat().st_size for file in (path, *external_files(path)))
