"""The tasks that benchmarks name, one module a task. A new one is a module and a line in `_ALL`.

From outputs to records, the one seam that workers use:

    make = records_of(benchmark.postprocess, frames)  # once; it can be pickled
    records = make(outputs, indices)                  # once a batch

`make` is a pure function of NumPy arrays. `outputs` are a batch's, in the engine's order, each with
one row a sample; `indices` are the samples' places in the data set, with which `frames` finds how
each image was laid into the input. The records are [n, k] float32, or n arrays of any size, which
`sut.serve.responses` makes into bytes. An image without boxes has an array of size 0. Any thread of
any process may call it; a record depends on its own sample alone.
"""

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


def judge_of(metric: str) -> base.Judge:
    """Return the judge for the accuracy metric of a benchmark file."""
    return next(task.judge for task in _ALL if task.judge and task.metric == metric)


def judge_of_records(spec: base.Postprocess) -> base.Judge | None:
    """Return the judge of the task that makes such records; None if it has none."""
    return task_of(spec).judge


def task_of(spec: base.Postprocess) -> base.Task:
    """Return the task that a postprocess belongs to."""
    return next(task for task in _ALL if isinstance(spec, task.postprocesses))


def label_reader(metric: str) -> Callable[[str, int | None, str], base.Label]:
    """Return the function that reads the labels for a metric."""
    return judge_of(metric).read_label


def records_of(
    spec: base.Postprocess, frames: base.FrameFile | None = None, *, simulated: bool = False
) -> base.Records:
    """Return the function from a batch's outputs to LoadGen's records.

    Args:
        spec: of the benchmark.
        frames: where the input's pixels lie in the original images; None: the input is no image.
        simulated: the outputs mean nothing, so every kind passes them on unchanged.

    Raises:
        ConfigError: this program cannot turn a real engine's outputs into such records.
    """
    if simulated:
        return other.RawRecords()
    return spec.records(None if frames is None else frames.open())
