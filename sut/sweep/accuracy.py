"""The accuracy of each setting of a sweep, measured once, in the rows of all its points.

LoadGen's accuracy test with the setting of the points: each sample of the data set once.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from sut.base.errors import SutError
from sut.base.signals import Stopped, exit_code
from sut.base.ticker import doing
from sut.run.run import Interrupted, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sut.config.plan import Plan
    from sut.record.result import Accuracy
    from sut.serve.workers.keeper import Keeper
    from sut.sweep.runner import Measured
    from sut.sweep.task import Task

    # Returns what an accuracy test of a plan says; None without labels.
    Judge = Callable[[Plan], Accuracy | None]

ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class WithAccuracy:
    """Measures a point, and adds the accuracy of its setting.

    Attributes:
        measure: a point.
        judge: a setting.
    """

    measure: Callable[[Task], Measured]
    judge: Judge
    _known: dict[str, dict[str, float] | str] = field(default_factory=dict)

    def __call__(self, task: Task) -> Measured:
        """Return the point with `accuracy`, or with a mark that says why there is none.

        Raises:
            Stopped: a signal came; this point is lost.
        """
        measured = self.measure(task)
        row = measured.row
        if row.problem is not None:
            return measured
        found = self._of(task)
        if isinstance(found, str):
            row = structs.replace(row, marks=(*row.marks, found))
        else:
            row = structs.replace(row, figures={**row.figures, **found})
        return replace(measured, row=row)

    def _of(self, task: Task) -> dict[str, float] | str:
        """Return the figures of a setting, or why it has none."""
        key = json.dumps(dict(task.setting), sort_keys=True)
        if key not in self._known:
            self._known[key] = self._judged(task.plan)
        return self._known[key]

    def _judged(self, plan: Plan) -> dict[str, float] | str:
        try:
            found = self.judge(plan)
        except Interrupted as interruption:
            raise Stopped(_number(interruption)) from None
        except SutError as error:
            return f"no accuracy: {error}"
        if found is None:
            return "no accuracy: the data set has no labels"
        low_high = found.interval_95 or ()
        ends = dict(zip(("accuracy_low", "accuracy_high"), low_high, strict=False))
        return {"accuracy": found.value, **ends}


def judge_in(folder: Path, keeper: Keeper, command: str) -> Judge:
    """Return what runs LoadGen's accuracy test in new folders under `folder`."""
    parent = folder / ACCURACY

    def judge(plan: Plan) -> Accuracy | None:
        parent.mkdir(exist_ok=True)
        numbers = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
        out = parent / f"{max(numbers, default=0) + 1:03}"
        asked = replace(plan, arguments=replace(plan.arguments, mode="accuracy"))
        with doing("accuracy"):
            return run(asked, out, command, quiet=True, keeper=keeper).accuracy

    return judge


def _number(interruption: Interrupted) -> int:
    """Return the signal."""
    return next(one for one in signal.Signals if exit_code(one) == interruption.code)
