"""Object detection. Only a simulated device can run it: there is no postprocess for boxes yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.tasks.base import Postprocess, Task
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from data.tasks.base import Records


class Detections(Postprocess, frozen=True, tag="detections"):
    """Boxes of an object detector."""

    def records(self) -> Records:
        """Refuse: this program cannot read the boxes of an engine."""
        raise ConfigError(
            "postprocess kind detections is not implemented for a real engine; expected argmax or "
            "raw. A simulated device can run this benchmark."
        )


TASK = Task(name="detection", postprocesses=(Detections,), metric="mAP")
