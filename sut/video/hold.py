"""Whether a number of streams holds a rate: judged by the worst stream, and by the tail.

Pure: it reads the figures of one play.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# A stream may miss this share of the rate, and at least one frame, which lies on the window's edge.
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Goal:
    """What every stream must hold.

    Attributes:
        fps: frames a second of the worst stream.
        p99_ms: from the due time, of all frames; None: any.
    """

    fps: float
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """One number of streams, judged.

    Attributes:
        streams: how many ran.
        worst_fps: of the slowest stream.
        p99_ms: of all frames; None: none came through.
        why_not: what was missed, in words; empty: the goal was held.
    """

    streams: int
    worst_fps: float
    p99_ms: float | None
    why_not: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the goal was held."""
        return not self.why_not


def judged(result: Mapping[str, Any], goal: Goal) -> Held:
    """Judge the result of a play; see sut.video.run.play."""
    figures = result["figures"]
    worst = figures["fps_per_stream_worst"]
    p99_ms = figures["latency_p99_ms"]
    why_not = [
        f"stream {stream['stream']} ended early: {stream['problem']}"
        for stream in result["streams"]
        if stream["problem"] is not None
    ]
    if worst < goal.fps - max(TOLERANCE * goal.fps, 1.0 / figures["seconds"]):
        slowest = min(result["streams"], key=lambda stream: stream["fps"])
        why_not.append(
            f"stream {slowest['stream']} has {worst:.2f} of {goal.fps:g} frames/s, "
            f"{figures['dropped']} frames of all streams dropped"
        )
    if goal.p99_ms is not None and (p99_ms is None or p99_ms > goal.p99_ms):
        shown = "none" if p99_ms is None else f"{p99_ms:.1f} ms"
        why_not.append(f"p99 is {shown}, above {goal.p99_ms:g} ms")
    return Held(figures["streams"], worst, p99_ms, tuple(why_not))
