"""All processes of readers of one command: they stay from play to play, and lost ones are replaced.

Stream k is read by process k modulo their number.
"""

from __future__ import annotations

import selectors
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from sut.base import ending
from sut.base.errors import ConfigError, SutError
from sut.base.resident import resident
from sut.base.standing import STOPPED_S
from sut.video.flow.apart.far import Far, FarSource
from sut.video.flow.apart.far_stream import FarStream
from sut.video.flow.apart.link import Link
from sut.video.flow.apart.memory import Layout, StageRoom
from sut.video.flow.apart.wire import Kind, Opened, Pixels, Played
from sut.video.flow.prepare import Preparer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sut.video.flow.apart.far_stream import Served
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Opens
    from sut.video.flow.interpreter import Looks
    from sut.video.flow.reader import FrameReader
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.settings import PlaySettings
    from sut.video.flow.stage import Stage
    from sut.video.flow.taking import FirstInput, Hands
    from sut.video.sources.base import Source

_HEAR_S = 0.25
_END_S = 1.0  # for readers to see that it is over


class ReaderProcesses:
    """Processes that read streams. Use it in a `with`, around the plays.

    Args:
        first: processes that are started at once; others are when they are needed.
        stopped_s: how long one may stand still because a signal or a debugger stopped it.
    """

    def __init__(self, first: int = 0, stopped_s: float = STOPPED_S) -> None:
        self._first, self._stopped_s = first, stopped_s
        self._links: list[Link] = []
        self._heard = selectors.DefaultSelector()
        self._closed = False
        self._thread = threading.Thread(target=self._hear, name="readers", daemon=True)

    def __enter__(self) -> ReaderProcesses:
        """Start the first ones, and do not wait for them."""
        self._thread.start()
        try:
            self._start(self._first)
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
        """End them."""
        self._close()

    def _close(self) -> None:
        self._closed = True
        for link in self._links:
            link.close()
        self._thread.join()
        for link in self._links:
            link.free()
        self._heard.close()

    def open(self, opens: Sequence[Opens]) -> list[Source]:
        """Open the sources of a play.

        Args:
            opens: what opens the streams of each process. It travels: functions and classes must be
                found by their names.

        Returns:
            The sources: the first of each process, then the second of each, and so on.

        Raises:
            ConfigError: a clip cannot be opened, or no address.
            SutError: a process is gone, or a clip cannot be decoded into memory.
        """
        answers: list[Sequence[Opened]] = self._ask(Kind.OPEN, opens)
        longest = max(map(len, answers))
        opened = [answer[k] for k in range(longest) for answer in answers if k < len(answer)]
        absent = [source.absent for source in opened if source.absent is not None]
        if absent and len(absent) == len(opened):
            raise ConfigError(absent[0])
        return [
            FarSource(answer[k].facts, link, k)
            for k in range(longest)
            for answer, link in zip(answers, self._links, strict=False)
            if k < len(answer)
        ]

    def call(self, processes: int, function: Callable[..., Any], *arguments: object) -> list[Any]:
        """Return what a function makes of the sources that are open in each process.

        Args:
            processes: how many are asked; they have opened sources.
            function: its first argument are the sources of a process, which it closes. It travels.
            arguments: the others.

        Raises:
            SutError: it raised, or a process is gone.
        """
        return self._ask(Kind.CALL, [(function, arguments)] * processes)

    def play(
        self,
        sources: Sequence[Source],
        settings: PlaySettings,
        first: FirstInput,
        pixels: Pixels,
        served: Served | None = None,
    ) -> FarReaders:
        """Return the readers of a play of sources that `open` gave.

        Args:
            sources: of the streams, in their order.
            settings: of the play.
            first: what is made of frames.
            pixels: of which frames others want the pixels.
            served: by whom, where they are read; None: they are served here.

        Raises:
            SutError: a process cannot begin; of those that are gone their streams hear.
        """
        by_link: dict[Link, list[int]] = {}
        for stream, source in enumerate(sources):
            assert isinstance(source, FarSource), "opened here"
            by_link.setdefault(source.link, []).append(stream)
        preparer, pacing = Preparer(first.benchmark), settings.pacing
        only = StageRoom(1, ((preparer.shape[1:], preparer.dtype.name),))
        rooms = (only,) if served is None else served.rooms
        memories = {}
        for link, streams in by_link.items():
            facts = [sources[stream].facts for stream in streams]
            sizes = [f.width * f.height * 3 if pixels is not Pixels.NONE else 0 for f in facts]
            layout = Layout(rooms, pacing.depth, tuple(sizes))
            memories[link] = link.memory(layout)
            link.streams = []
            serves = None if served is None else served.of(streams, len(by_link))
            link.send(Kind.PLAY, Played(layout, tuple(streams), pacing, first, pixels, serves))
        errors = []
        for link in by_link:  # an answer that nobody took would be that to the next question
            try:
                link.answer()
            except SutError as error:
                if not link.lost.is_set():
                    errors.append(error)
        if errors:
            raise errors[0]
        return FarReaders(by_link, memories, preparer, settings.stall_s)

    def _ask(self, kind: Kind, values: Sequence[object]) -> list[Any]:
        """Ask as many processes at once as there are values; return their answers."""
        if kind is Kind.OPEN:
            self._start(len(values))
        asked = self._links[: len(values)]
        for link, value in zip(asked, values, strict=True):
            link.send(kind, value)
        return answers_of(asked)

    def _start(self, count: int) -> None:
        """Start processes that are lost or missing among the first ones."""
        for place in range(count):
            if place < len(self._links):
                if not self._links[place].lost.is_set():
                    continue
                self._links.pop(place).free()
            link = Link(self._stopped_s)
            self._links.insert(place, link)
            self._heard.register(link.socket, selectors.EVENT_READ, link)

    def _hear(self) -> None:
        while not self._closed:
            for key, _ in self._heard.select(_HEAR_S):
                link: Link = key.data
                if not link.hear():
                    self._heard.unregister(link.socket)
                    link.lose()


class FarReaders:
    """The readers of one play. See sut.video.flow.taking.Readers.

    Args:
        streams: that each process reads.
        memories: of the processes.
        preparer: of the first stage.
        stall_s: how long a process may stand still.
    """

    def __init__(
        self,
        streams: dict[Link, list[int]],
        memories: dict[Link, Memory],
        preparer: Preparer,
        stall_s: float,
    ) -> None:
        self._streams, self._memories, self._preparer = streams, memories, preparer
        self._stall_s = stall_s
        self._fars: dict[Link, list[Far | FarStream]] = {link: [] for link in streams}

    @property
    def pids(self) -> Sequence[int]:
        """See Readers."""
        return [link.pid for link in self._streams]

    def looks(self) -> Sequence[Looks]:
        """See Readers."""
        return [memory.looks for memory in self._memories.values()]

    def memory_bytes(self) -> int:
        """See Readers. Frames lie in memory that this process has, too."""
        found = (resident(link.pid) for link in self._memories)
        return sum(max(0, r.peak - r.shared) for r in found if r is not None)

    def reads(self, source: Source, record: StreamRecord, hands: Hands) -> FrameReader:
        """See Readers; the streams of a process come in their order."""
        assert isinstance(source, FarSource), "opened by ReaderProcesses"
        memory, mates = self._memories[source.link], self._mates(source)
        far = Far(source, memory, record, mates, hands, self._preparer)
        self._add(source.link, far)
        return far

    def stream(
        self,
        source: Source,
        record: StreamRecord,
        stages: Sequence[Stage],
        failed: Callable[[Exception], None],
    ) -> FarStream:
        """Return a stream that is served where it is read; they come in their order, too."""
        assert isinstance(source, FarSource), "opened by ReaderProcesses"
        memory, mates = self._memories[source.link], self._mates(source)
        far = FarStream(source, memory, record, mates, stages, failed)
        self._add(source.link, far)
        return far

    def _mates(self, source: FarSource) -> Callable[[], str]:
        return partial(_named, self._streams[source.link])

    def _add(self, link: Link, far: Far | FarStream) -> None:
        self._fars[link].append(far)
        link.streams = self._fars[link]

    def look(self, now_ns: int) -> None:
        """See Readers."""
        for link, fars in self._fars.items():
            link.look(now_ns, self._memories[link], self._stall_s)
            for far in fars:
                far.look()

    def close(self) -> None:
        """See Readers. A process whose readers do not end is given up."""
        asked = [link for link in self._fars if not link.lost.is_set()]
        for link in asked:
            link.send(Kind.END, _END_S)
        for link in asked:
            try:
                over = link.answer()
            except SutError:
                continue  # it is gone, and its streams have said so
            if not over:
                link.give_up("has a reader that does not end")
                link.lost.wait(ending.KILLED_S)


def answers_of(links: Sequence[Link]) -> list[Any]:
    """Wait for the answer of each; raise the first error after all of them."""
    answers, errors = [], []
    for link in links:
        try:
            answers.append(link.answer())
        except SutError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return answers


def _named(streams: Sequence[int]) -> str:
    """Return streams in words."""
    return f"stream{'s' if len(streams) > 1 else ''} {', '.join(map(str, streams))}"
