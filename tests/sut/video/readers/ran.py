"""Plays of streams that other processes read, and what they gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sut.video.figures import figures
from sut.video.flow.play import Play, Played, Stages
from sut.video.flow.seen import NullSink
from sut.video.flow.settings import PlaySettings
from sut.video.track.presets import open_tracker
from tests.sut.video.made import RATE, Keeping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.video.flow.apart.readers import ReaderProcesses
    from sut.video.flow.apart.wire import Opens
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Seen
    from sut.video.types import Tracker


@dataclass
class Ran:
    """What one play gave."""

    played: Played
    seen: dict[int, list[Seen]]
    found: dict[str, Any]

    @property
    def records(self) -> Sequence[StreamRecord]:
        return self.played.records


def run(  # noqa: PLR0913 - what tests vary
    processes: ReaderProcesses | None,
    stages: Stages,
    opens: Sequence[Opens],
    settings: PlaySettings | None = None,
    tracker: str | Callable[[int], Tracker] = "none",
    look: Callable[[Sequence[StreamRecord]], None] | None = None,
    *,
    keeps: bool = True,
) -> Ran:
    """Play the streams; without `keeps` nobody sees their frames."""
    if processes is None:
        sources = [source for open_ in opens for source in open_()]
    else:
        sources = processes.open(opens)
    sink, nobody = Keeping(), NullSink()
    streams = [
        (source, open_tracker(tracker, RATE) if isinstance(tracker, str) else tracker(number))
        for number, source in enumerate(sources)
    ]
    play = Play(stages, settings or PlaySettings(), streams, sink if keeps else nobody, processes)
    played = play.run(look)
    return Ran(played, sink.seen, figures(played, stages.all))


def shown(seen: Seen) -> tuple[object, ...]:
    """Return all that was found in a frame, as plain values."""
    told = [
        (name, found.boxes.label.tolist(), found.boxes.xyxy.tolist(), found.parents.tolist())
        for name, found in seen.found.items()
    ]
    boxes = seen.boxes
    number = seen.frame.number, seen.frame.pts_s, seen.inferred
    return number, boxes.xyxy.tolist(), boxes.score.tolist(), boxes.identity.tolist(), told
