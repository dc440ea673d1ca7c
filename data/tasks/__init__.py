"""The tasks that benchmarks name, one file a task. A new one is a file and a line in `_ALL`."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Literal

from data.tasks import base, classification, detection, other

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The first task is the default of a benchmark file.
_ALL = (
    classification.TASK,
    detection.TASK,
    other.TASK,
)
TASKS: Mapping[str, base.Task] = {task.name: task for task in _ALL}
DEFAULT = _ALL[0]

# What a benchmark file may say. For a type checker these are plain: which tasks there are is data.
if TYPE_CHECKING:
    TaskName = str
    MetricName = str
    AnyPostprocess = base.Postprocess
else:
    TaskName = Literal[tuple(TASKS)]
    MetricName = Literal[tuple(task.metric for task in _ALL if task.metric)]
    AnyPostprocess = reduce(operator.or_, [kind for task in _ALL for kind in task.postprocesses])


def default_postprocess() -> base.Postprocess:
    """Return what a benchmark without `postprocess` does with its outputs."""
    return DEFAULT.postprocesses[0]()


def judge_of(metric: str) -> base.Judge | None:
    """Return the judge for an accuracy metric; None if there is none."""
    return next((task.judge for task in _ALL if task.metric == metric), None)


def judge_of_records(spec: base.Postprocess) -> base.Judge | None:
    """Return the judge of the task that makes such records; None if it has none."""
    return next(task.judge for task in _ALL if isinstance(spec, task.postprocesses))


def label_reader(metric: str) -> Callable[[str, int | None, str], base.Label]:
    """Return the function that reads the labels for a metric; by default, classes."""
    judge = judge_of(metric) or classification.JUDGE
    return judge.read_label


def records_of(spec: base.Postprocess, *, simulated: bool = False) -> base.Records:
    """Return the function from a batch's outputs to LoadGen's records.

    Args:
        spec: of the benchmark.
        simulated: the outputs mean nothing, so every kind passes them on unchanged.

    Raises:
        ConfigError: this program cannot turn a real engine's outputs into such records.
    """
    return other.RawRecords() if simulated else spec.records()
