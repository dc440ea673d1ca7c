"""From a batch's outputs to the records that LoadGen logs: a cheap, stateless, picklable function.

A record depends on its own sample alone, so that it is the same bit for bit in every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from data import schema
from sut.base.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Outputs: TypeAlias = tuple[NDArray[np.generic], ...]
    # Called by a worker's thread: (outputs of the engine, data set indices of the batch) to
    # [n, k] float32, C-contiguous and new, one row a sample. It borrows the outputs for the call.
    Records: TypeAlias = Callable[[Outputs, Sequence[int]], NDArray[np.float32]]

_LABELS = 1  # axes of [n], an output that holds classes already
_SCORES = 2  # axes of [n, classes]


def make_postprocess(spec: schema.Postprocess, *, simulated: bool = False) -> Records:
    """Return the function for `spec`; it is plain data and travels to worker processes.

    Args:
        spec: of the benchmark.
        simulated: the outputs answer no question, so every kind passes them on as they are.

    Raises:
        ConfigError: nothing here turns a real engine's outputs into records of this kind.
    """
    if simulated or isinstance(spec, schema.Raw):
        return RawRecords()
    if isinstance(spec, schema.ArgMax):
        return ArgMaxRecords(spec.class_offset)
    raise ConfigError(
        "postprocess kind detections is not implemented for a real engine; expected argmax or raw. "
        "A simulated device can run this benchmark."
    )


@dataclass(frozen=True, slots=True)
class ArgMaxRecords:
    """The best class, plus `class_offset`: [n, 1] float32.

    Takes [n, classes], [n, classes, 1, 1], or integer classes that the model chose itself.
    """

    class_offset: int

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return the classes of a batch; of equal scores the first class wins.

        Raises:
            EngineError: the first output has no such shape, or not one row a sample.
        """
        scores, n = outputs[0], len(indices)
        if scores.ndim == _SCORES and len(scores) == n and scores.dtype.kind == "f":
            # What nearly every model gives; each further step costs 10 us after a large model ran.
            best: NDArray[np.float32] = scores.argmax(axis=1, keepdims=True).astype(np.float32)
            if self.class_offset:
                best += self.class_offset
            return best
        if not scores.ndim or scores.shape[0] != n:
            raise EngineError(
                f"output 0 has shape {list(scores.shape)}; expected {n} rows, one a sample."
            )
        if scores.ndim > _SCORES:
            scores = scores.reshape(n, *[size for size in scores.shape[1:] if size != 1])
        if scores.ndim == _SCORES and not _is_classes(scores):
            scores = scores.argmax(axis=1)
        elif scores.ndim > _SCORES or scores.dtype.kind not in "iu":
            raise EngineError(
                f"output 0 has shape {list(outputs[0].shape)} and dtype {scores.dtype}; expected "
                "[n, classes] scores or integer classes. Name the right output in the benchmark."
            )
        classes = np.empty((n, 1), np.float32)
        classes[:, 0] = scores.reshape(n)
        if self.class_offset:
            classes += self.class_offset
        return classes


def _is_classes(scores: NDArray[np.generic]) -> bool:
    return scores.shape[1] == 1 and scores.dtype.kind in "iu"


@dataclass(frozen=True, slots=True)
class RawRecords:
    """The first output in float32, flattened to one row a sample."""

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return a copy, [n, k] float32, as the engine may use its buffer again."""
        return np.array(outputs[0], np.float32, order="C").reshape(len(indices), -1)
