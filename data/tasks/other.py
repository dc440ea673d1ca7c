"""Any other task: the numbers of the model, unchanged and not judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.base import Postprocess, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs


class Raw(Postprocess, frozen=True, tag="raw"):
    """The first output as it is, in float32."""

    def records(self, frames: Frames | None = None) -> RawRecords:
        """Return the function that copies the first output."""
        return RawRecords()


@dataclass(frozen=True, slots=True)
class RawRecords:
    """The first output in float32, flattened to one row a sample."""

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return a copy, [n, k] float32, because the engine may reuse its buffer."""
        return np.array(outputs[0], np.float32, order="C").reshape(len(indices), -1)


TASK = Task(name="other", postprocesses=(Raw,))
