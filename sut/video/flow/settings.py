"""How streams run: what a user chooses for a play. Knows no stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sut.video.flow.reader import Pacing

if TYPE_CHECKING:
    from sut.video.flow.scaling import Scale


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """How streams run.

    Attributes:
        pacing: when frames are due.
        interval: frames without inference after each one with it.
        duration_s: after which no frame is taken; None: to the end of the clips.
        lead_s: at the beginning, which is not measured.
        host_threads: that serve the streams after their first inference; None: one, or one
            a core where crops or a sink make pixels.
        stall_s: how long a source may owe a frame.
        scale: who makes a frame as small as the first stage wants it.
        readers: processes that read frames; 0: threads of this one do.
    """

    pacing: Pacing = field(default_factory=Pacing)
    interval: int = 0
    duration_s: float | None = None
    lead_s: float = 0.0
    host_threads: int | None = None
    stall_s: float = 10.0
    scale: Scale = "steps"
    readers: int = 0


# A process's own interpreter is busy half of its time with so many streams of 30 frames/s.
_STREAMS_EACH = 8
# With fewer cores, what the processes' messages cost is more than they give.
_LEAST_CORES = 4


def reader_processes(wanted: int | None, streams: int, cores: int) -> int:
    """Return how many processes read streams; 0: threads of this process do.

    Args:
        wanted: by the user; None: as the streams and the cores say.
        streams: how many run.
        cores: that may be used.
    """
    if wanted is not None:
        return min(wanted, streams)
    if cores < _LEAST_CORES or streams < _STREAMS_EACH:
        return 0
    return min(-(-streams // _STREAMS_EACH), cores // 2)
