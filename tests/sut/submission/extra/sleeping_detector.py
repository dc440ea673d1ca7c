"""A stand-in for a detector: it sleeps, and answers the same box to every image.

Unlike the null backend it has answers, so that postprocess, accuracy and TEST01 run as they do with
a model. No option of the program names it: see `stand_in_yolo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backends.base import TensorSpec
from backends.null.engine import NullEngine, Options
from backends.options import read_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array, EngineSpec

CLASSES, CANDIDATES = 80, 200
# In pixels of an input of SIDE x SIDE, as centre and size; class 2 is COCO's category 3.
SIDE = 32
BOX, CLASS, SCORE = (16, 16, 8, 8), 2, 0.9


class SleepingDetector(NullEngine):
    """A YOLO head with one box, [len(rows), 84, 200] float32, read-only."""

    def __init__(self, spec: EngineSpec, options: Options) -> None:
        super().__init__(spec, options)
        head = np.zeros((1, 4 + CLASSES, CANDIDATES), np.float32)
        head[0, :4, 0], head[0, 4 + CLASS, 0] = BOX, SCORE
        self._heads = np.broadcast_to(head, (spec.max_batch_size, *head.shape[1:]))
        self.outputs = (TensorSpec("output0", head.shape[1:], "float32"),)
        self.facts = {**self.facts, "backend": "stand-in", "simulated": False}

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`."""
        super().infer(rows)
        return (self._heads[: len(rows)],)


def open_engine(spec: EngineSpec) -> SleepingDetector:
    """Open the stand-in."""
    return SleepingDetector(spec, read_options(spec.options, Options, "stand-in"))
