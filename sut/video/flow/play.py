"""A play: streams run through open stages for a while, and are watched until the last one ends.

A stream that stalls or breaks is named and given up, and the others go on. An engine that fails
ends the play with its name.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import SutError, WorkerError
from sut.base.ticker import doing
from sut.record.trace import Window
from sut.video.flow.interpreter import LockWatch
from sut.video.flow.stage import Stage, Work
from sut.video.flow.streams import streams_of
from sut.video.sources.base import stalls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sut.serve.dispatcher import Failure
    from sut.video.flow.apart.readers import ReaderProcesses
    from sut.video.flow.flight import PartNames
    from sut.video.flow.interpreter import Looks
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.settings import PlaySettings
    from sut.video.flow.stage import StagePlan
    from sut.video.sources.base import Source
    from sut.video.types import Tracker

_END_LOOK_S, _LOOK_NS = 0.02, 100_000_000  # to look at all streams takes a millisecond
_USER = 11  # of the fields of /proc/PID/stat behind the name
_START_NS = 20_000_000  # until the first frame is due: all readers have begun by then
_DRAIN_S = 10.0
_END_S = 1.0  # for a reader to see that it is over


@dataclass(frozen=True, slots=True)
class Played:
    """What a play measured.

    Attributes:
        records: of the streams.
        names: of the parts of a frame's time.
        window: the measured time.
        work: what each stage did, by its name.
        cpu_s: the processor's time of this process, its engines and its readers, in the window.
        host_threads: that served the streams.
        readers_cpu_s: the part of `cpu_s` that processes of readers took.
        lock_share: of the looks at which a thread waited for this process's interpreter; None: not
            known. See sut.video.flow.interpreter.
        readers_lock_share: likewise, of the process of readers that has the largest; None: not
            known, or there are none.
        readers_bytes: that processes of readers had in RAM at most.
    """

    records: Sequence[StreamRecord]
    names: PartNames
    window: Window
    work: dict[str, Work]
    cpu_s: float
    host_threads: int
    readers_cpu_s: float = 0.0
    lock_share: float | None = None
    readers_lock_share: float | None = None
    readers_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Taken:
    """What was measured up to some time, but the work of the stages: that since the last time."""

    cpu_s: float
    readers_cpu_s: float
    work: dict[str, Work]
    looks: Looks
    readers_looks: Sequence[Looks]


class Stages:
    """The engines of a pipeline, open as long as it is entered; any number of plays may run."""

    def __init__(self, plans: Sequence[StagePlan], warm_up_s: float = 0.5) -> None:
        self.failure: Failure | None = None
        self._warm_up_s = warm_up_s
        self.all = [Stage(plan, self._fail) for plan in plans]

    def __enter__(self) -> Stages:
        """Open the stages one after the other, so that each warm-up has the machine to itself."""
        try:
            for stage in self.all:
                with doing(f"opening stage {stage.name}"):
                    stage.open(self._warm_up_s)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self._close()

    def check(self) -> None:
        """Raise WorkerError if an engine failed."""
        if self.failure is not None:
            raise WorkerError(self.failure.message, self.failure.traceback)

    def _close(self) -> None:
        for stage in self.all:
            stage.close()

    def _fail(self, failure: Failure) -> None:
        self.failure = self.failure or failure


class Play:
    """One play.

    Args:
        stages: open.
        settings: how the streams run.
        streams: the source and the tracker of each; the sources are closed by the end.
        sink: gets the frames; the caller closes it.
        processes: have opened the sources and read them; None: threads of this process do.
    """

    def __init__(
        self,
        stages: Stages,
        settings: PlaySettings,
        streams: Sequence[tuple[Source, Tracker]],
        sink: Sink,
        processes: ReaderProcesses | None = None,
    ) -> None:
        self._stages, self._settings = stages, settings
        self._error: Exception | None = None
        self._lock = LockWatch()
        self._cpu_seen_s: dict[int, float] = {}
        self._made = streams_of(stages.all, settings, streams, sink, processes, self._fail)
        self._streams, self._readers = self._made.all, self._made.readers

    def run(self, look: Callable[[Sequence[StreamRecord]], None] | None = None) -> Played:
        """Run to the end.

        Args:
            look: called now and then with what the streams did so far.

        Raises:
            WorkerError: an engine failed or hangs; the message names its stage.
            SutError: a frame cannot be made into the input of a model.
        """
        # Cameras have sent nothing when their readers begin; files are read at once.
        live = self._settings.pacing.pace == "live"
        origin_ns = time.monotonic_ns() + (_START_NS if live else 0)
        start_ns = origin_ns + int(self._settings.lead_s * 1e9)
        duration_s = self._settings.duration_s
        end_ns = None if duration_s is None else origin_ns + int(duration_s * 1e9)
        self._lock.start()
        before = self._taken()
        for stream in self._streams:
            stream.reader.start(origin_ns + self._phase_ns(stream.record))
        try:
            first, last = self._watch(before, (start_ns, end_ns), look)
            readers_bytes = self._readers.memory_bytes()
        finally:
            self._end()
        last_ns = max(stream.record.ended_ns for stream in self._streams)
        window = Window(start_ns, last_ns if end_ns is None else min(end_ns, last_ns))
        shares = [
            now.share_since(then)
            for then, now in zip(first.readers_looks, last.readers_looks, strict=True)
        ]
        return Played(
            records=[stream.record for stream in self._streams],
            names=self._made.names,
            window=window,
            work=last.work,
            cpu_s=last.cpu_s - first.cpu_s,
            host_threads=self._made.host_threads,
            readers_cpu_s=max(0.0, last.readers_cpu_s - first.readers_cpu_s),
            lock_share=last.looks.share_since(first.looks),
            readers_lock_share=max((s for s in shares if s is not None), default=None),
            readers_bytes=readers_bytes,
        )

    def _phase_ns(self, record: StreamRecord) -> int:
        """Return how much later than the first stream's the frames of a stream are due."""
        settings = self._settings
        if settings.pacing.pace != "live" or settings.in_step:
            return 0
        rate = settings.pacing.rate or record.clip.rate
        return int(record.stream / len(self._streams) / rate * 1e9)

    def _watch(
        self,
        at_start: _Taken,
        window: tuple[int, int | None],
        look: Callable[[Sequence[StreamRecord]], None] | None,
    ) -> tuple[_Taken, _Taken]:
        """Wait for the last stream; return what was measured at the window's start and end.

        Raises:
            SutError: see `run`.
        """
        start_ns, end_ns = window
        began, ended, look_ns = not self._settings.lead_s, None, 0
        while not all(stream.done.is_set() for stream in self._streams):
            now_ns = time.monotonic_ns()
            if not began and now_ns >= start_ns:
                at_start, began = self._taken(), True
            if end_ns is not None and now_ns >= end_ns:
                if ended is None:
                    ended = self._taken()
                    self._stop()
                if now_ns > end_ns + int(_DRAIN_S * 1e9):
                    raise WorkerError(
                        f"frames are still under way {_DRAIN_S:g} s after the end: "
                        f"{self._under_way()}."
                    )
            if now_ns >= look_ns:
                look_ns = now_ns + _LOOK_NS
                self._look(now_ns)
                if look is not None:
                    look([stream.record for stream in self._streams])
            time.sleep(_END_LOOK_S)
        self._check()
        return at_start, ended or self._taken()

    def _taken(self) -> _Taken:
        work = {stage.name: stage.taken_work() for stage in self._stages.all}
        of_readers = self._cpu_of(self._readers.pids)
        looks = self._lock.looks, self._readers.looks()
        return _Taken(self._cpu_s() + of_readers, of_readers, work, *looks)

    def _look(self, now_ns: int) -> None:
        self._check()
        self._readers.look(now_ns)
        for stage in self._stages.all:
            stage.look()
        for stream in self._streams:
            since_ns = stream.record.waits_since_ns
            if not since_ns or stream.done.is_set():
                continue
            if now_ns - since_ns > self._settings.stall_s * 1e9:
                stream.abandon(stalls(stream.record.clip.name, self._settings.stall_s))

    def _check(self) -> None:
        self._stages.check()
        if self._error is not None:
            if isinstance(self._error, SutError):
                raise self._error
            text = f"{type(self._error).__name__}: {self._error}"
            raise WorkerError(f"the pipeline failed: {text}") from self._error

    def _under_way(self) -> str:
        return ", ".join(
            f"{s.record.taken - s.record.delivered} of stream {s.record.stream}"
            for s in self._streams
            if not s.done.is_set()
        )

    def _stop(self) -> None:
        for stream in self._streams:
            stream.reader.stop()

    def _end(self) -> None:
        self._stop()
        self._lock.stop()
        for stream in self._streams:
            if not stream.abandoned:
                stream.reader.join(_END_S)
        self._made.close()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error

    def _cpu_s(self) -> float:
        """Return the processor's time of this process and of engines in their own, in s."""
        times = os.times()
        apart = [fact["pid"] for stage in self._stages.all for fact in stage.facts if "pid" in fact]
        return times.user + times.system + self._cpu_of([int(pid) for pid in apart])

    def _cpu_of(self, pids: Sequence[int]) -> float:
        """Return the processor's time of processes in s; of one that ended, what was last seen."""
        for pid in pids:
            self._cpu_seen_s[pid] = max(self._cpu_seen_s.get(pid, 0.0), _cpu_of(pid))
        return sum(self._cpu_seen_s[pid] for pid in pids)


def _cpu_of(pid: int) -> float:
    """Return the processor's time of a process in s; 0.0 if it ended. See proc(5), stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    user, system = fields[_USER], fields[_USER + 1]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
