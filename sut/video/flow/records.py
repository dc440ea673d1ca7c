"""What is known of the frames of a play once they came through: a few numbers each.

Knows no thread; the streams append, figures are made of it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.video.sources.base import ClipFacts


@dataclass(slots=True)
class StreamRecord:
    """What one stream did. Its threads write; readers see numbers that only grow.

    Attributes:
        stream: its number.
        clip: where its frames come from.
        decoded: frames that the decoder gave.
        taken: frames that were not dropped.
        inferred: frames on which the first stage ran.
        delivered: frames that came through the sink.
        dropped_full: frames dropped because earlier ones filled the pipeline.
        dropped_late: frames dropped because the decoder was behind by then.
        crops: that were inferred, by stage.
        left_out: crops that were not made, by stage: boxes too small, or too many.
        boxes: of the first stage after the tracker.
        passes: how often the clip ended.
        waits_since_ns: since when the source owes a frame; 0: it does not.
        problem: why the stream ended before its time; None: it did not.
        notes: what was wrong with its clip, and yet it went on.
        ended_ns: when its last frame came through; 0: it goes on.
        rows: of each delivered frame: number, due, done, then the time of each part; ns.
    """

    stream: int
    clip: ClipFacts
    decoded: int = 0
    taken: int = 0
    inferred: int = 0
    delivered: int = 0
    dropped_full: int = 0
    dropped_late: int = 0
    crops: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    boxes: int = 0
    passes: int = 0
    waits_since_ns: int = 0
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    ended_ns: int = 0
    rows: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """All frames that were dropped."""
        return self.dropped_full + self.dropped_late

    def table(self, parts: int) -> NDArray[np.int64]:
        """Return the rows as [delivered, 3 + parts] int64."""
        return np.array(self.rows, np.int64).reshape(-1, 3 + parts)
