"""The streams of a play: who reads them, and who serves them.

Both are done by threads of this process; or processes read and this one serves; or, where a frame
needs nothing of this process but an engine, the processes that read serve, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.environment import cores
from sut.video.flow.apart.far_stream import Served, may_serve
from sut.video.flow.apart.wire import Pixels
from sut.video.flow.flight import PartNames
from sut.video.flow.records import StreamRecord
from sut.video.flow.strand import Threads
from sut.video.flow.stream import Shared, Stream
from sut.video.flow.taking import FirstInput, Near, Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.video.flow.apart.far_stream import FarStream
    from sut.video.flow.apart.readers import ReaderProcesses
    from sut.video.flow.seen import Sink
    from sut.video.flow.settings import PlaySettings
    from sut.video.flow.stage import Stage
    from sut.video.sources.base import Source
    from sut.video.types import Tracker


@dataclass(frozen=True, slots=True)
class Streams:
    """All that runs in a play.

    Attributes:
        all: the streams, in order.
        names: of the parts of a frame's time.
        readers: of them.
        host_threads: that serve them, in all processes.
        threads: those of this process; None: other processes serve.
    """

    all: Sequence[Stream | FarStream]
    names: PartNames
    readers: Readers
    host_threads: int
    threads: Threads | None

    def close(self) -> None:
        """End readers and threads; the streams are over."""
        self.readers.close()
        if self.threads is not None:
            self.threads.close()


def streams_of(  # noqa: PLR0913 - what a play is made of
    stages: Sequence[Stage],
    settings: PlaySettings,
    given: Sequence[tuple[Source, Tracker]],
    sink: Sink,
    processes: ReaderProcesses | None,
    failed: Callable[[Exception], None],
) -> Streams:
    """Return the streams of a play; they have not begun.

    Args:
        stages: open.
        settings: how they run.
        given: the source and the tracker of each.
        sink: gets the frames.
        processes: have opened the sources; None: they are open here.
        failed: hears what an act of a stream raised, on any thread.

    Raises:
        SutError: a process cannot begin.
    """
    sources, trackers = [source for source, _ in given], [tracker for _, tracker in given]
    records = [StreamRecord(number, source.facts) for number, source in enumerate(sources)]
    first = FirstInput(stages[0].plan.benchmark, settings.interval, settings.scale)
    names = PartNames.of([stage.name for stage in stages])
    if processes is not None and may_serve(stages, sink, trackers):
        served = Served(stages, trackers)
        far = processes.play(sources, settings, first, Pixels.NONE, served)
        found = [
            far.stream(source, record, stages, failed)
            for source, record in zip(sources, records, strict=True)
        ]
        return Streams(found, names, far, len(far.pids) * served.threads(len(far.pids)), None)
    # Without pixels all that these threads do is Python's, which one thread at a time may do.
    makes_pixels = len(stages) > 1 or sink.sees_pixels
    count = settings.host_threads or (cores() if makes_pixels else 1)
    if processes is None:
        readers: Readers = Near(settings.pacing, first)
    else:
        readers = processes.play(sources, settings, first, _wanted(stages, sink, trackers))
    threads = Threads(count, "host")
    shared = Shared(
        stages=stages,
        names=names,
        threads=threads,
        sink=sink,
        reads=readers.reads,
        failed=failed,
    )
    streams = [
        Stream(record, source, tracker, shared)
        for record, source, tracker in zip(records, sources, trackers, strict=True)
    ]
    return Streams(streams, names, readers, count, threads)


def _wanted(stages: Sequence[Stage], sink: Sink, trackers: Sequence[Tracker]) -> Pixels:
    """Return of which frames somebody here wants the pixels."""
    if sink.sees_pixels or any(tracker.sees_pixels for tracker in trackers):
        return Pixels.ALL
    crops = [stage.spec.crops for stage in stages]
    if any(crop is not None and crop.frames == "all" for crop in crops):
        return Pixels.ALL
    return Pixels.INFERRED if len(stages) > 1 else Pixels.NONE
