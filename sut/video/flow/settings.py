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
        in_step: frames of all streams are due at once, at a live pace; else their phases are
            spread over the time between two frames, as those of cameras are.
    """

    pacing: Pacing = field(default_factory=Pacing)
    interval: int = 0
    duration_s: float | None = None
    lead_s: float = 0.0
    host_threads: int | None = None
    stall_s: float = 10.0
    scale: Scale = "steps"
    readers: int = 0
    in_step: bool = False


# On an H200's host, which decodes 86 frames/s of 1920x1080 a core, a process of seven or eight
# streams came to 120 to 170 frames/s, however many of its 16 cores were free.
_EACH_DECODES = 1
# NVDEC leaves a process less to do, and each has a CUDA context; contexts take turns. On an H200,
# p99 of 68 streams was 76 ms by 4 processes and 117 by 9, that of 60 was 64 by 4 and 94 by 2.
_EACH_ON_GPU = 16
# Crops are scaled by the process that reads: one for 16 streams of three models came to 155
# frames/s there, with its interpreter found taken in 87 % of the looks, and 3.5 of 16 cores used.
_EACH_WITH_CROPS = 2
# With fewer streams one interpreter does; with fewer cores, what messages cost is more than they
# give.
_LEAST_STREAMS, _LEAST_CORES = 8, 4
# Crops are several times the work of a frame: two streams on two cores gave a quarter more frames.
_LEAST_WITH_CROPS = 2


def reader_processes(
    streams: int, cores: int, *, decoded_here: bool = True, crops: bool = False
) -> int:
    """Return how many processes should read streams; 0: threads of this process.

    Args:
        streams: how many run.
        cores: that may be used.
        decoded_here: by these cores, not by a GPU.
        crops: are made of the frames, by whoever reads them.
    """
    least = (_LEAST_WITH_CROPS,) * 2 if crops else (_LEAST_STREAMS, _LEAST_CORES)
    if streams < least[0] or cores < least[1]:
        return 0
    each = _EACH_DECODES
    if not decoded_here:
        each = _EACH_WITH_CROPS if crops else _EACH_ON_GPU
    return min(-(-streams // each), cores)
