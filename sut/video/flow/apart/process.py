"""The process of readers: opens its streams' sources, reads them, and leaves frames in memory.

Started as `python -m sut.video.flow.apart.process SOCKET MEMORY FOLDER`, two descriptors and where
clips are named from. It ends when the socket does, so it cannot outlive the process that started
it. Knows no engine. Where it may, it serves its streams, too: see sut.video.flow.apart.serving.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from sut.base.process import collect_new_alone
from sut.base.resident import reset_peak
from sut.serve.workers.failures import describe
from sut.serve.workers.wire import Reader as Messages
from sut.serve.workers.wire import pack_object
from sut.video.flow.apart.memory import COUNTS, Memory
from sut.video.flow.apart.rooms import Room, Rooms
from sut.video.flow.apart.serving import Serving
from sut.video.flow.apart.wire import (
    Handed,
    Kind,
    Opened,
    Played,
    Told,
    pack_frame,
    unpack_answered,
    unpack_room,
)
from sut.video.flow.interpreter import LockWatch
from sut.video.flow.records import StreamRecord
from sut.video.flow.taking import Hands, Taking
from sut.video.sources.absent import Absent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.video.flow.apart.wire import Opens
    from sut.video.flow.reader import Reader
    from sut.video.flow.taking import Ready
    from sut.video.sources.base import ClipFacts, Source

_BEAT_S = 0.25


def _count(place: int) -> Any:
    def get(record: SharedRecord) -> int:
        return record.counts[place]

    def put(record: SharedRecord, value: int) -> None:
        record.counts[place] = value

    return property(get, put)


class SharedRecord(StreamRecord):
    """See StreamRecord; the counts of its reader lie in memory that this process shares.

    Args:
        stream: its number in the play.
        clip: where its frames come from.
        counts: see Memory.
    """

    decoded, taken, inferred, dropped_full, dropped_late, passes, waits_since_ns = (
        _count(COUNTS.index(name)) for name in COUNTS[:7]
    )

    def __init__(self, stream: int, clip: ClipFacts, counts: memoryview) -> None:
        self.counts = counts
        super().__init__(stream, clip)


class Process:
    """All that the process does, on its main thread but for the readers' own.

    Args:
        sock: to the process that started it.
        file: the descriptor of the memory.
    """

    def __init__(self, sock: socket.socket, file: int) -> None:
        self._sock, self._file = sock, file
        self._sending = threading.Lock()
        self._sources: Sequence[Source] = ()
        self._memory: Memory | None = None
        self._readers: list[Reader] = []
        self._rooms: list[Room] = []
        self._serving: Serving | None = None
        self._told_ns = 0
        self._watch = LockWatch()
        self._acts: dict[int, Callable[[Any], None]] = {
            Kind.OPEN: self._open,
            Kind.CALL: self._call,
            Kind.PLAY: self._play,
            Kind.START: lambda start: self._readers[start[0]].start(start[1]),
            Kind.STOP: self._stop,
            Kind.GIVE_UP: self._give_up,
            Kind.END: self._end,
        }

    def run(self) -> None:
        """Work until the other end closes the socket."""
        messages = Messages(self._sock)
        self._watch.start()
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._beat()
                with contextlib.suppress(TimeoutError):
                    for kind, body in messages.receive(limit_s=_BEAT_S):
                        if kind == Kind.ROOM:
                            self._wake(unpack_room(body))
                        elif kind != Kind.ANSWERED:
                            self._act(kind, bytes(body))
                        elif self._serving is not None:  # else of a play that is over
                            self._serving.answered(unpack_answered(body))

    def _beat(self) -> None:
        if self._memory is None:
            return
        now_ns = self._memory.beat_ns = time.monotonic_ns()
        self._memory.looks = self._watch.looks
        if self._serving is not None and now_ns - self._told_ns > _BEAT_S * 1e9:
            self._told_ns = now_ns
            self._serving.tell()

    def _act(self, kind: int, body: bytes) -> None:
        try:
            value = pickle.loads(body)
        except Exception as error:  # noqa: BLE001 - what cannot be found here is said there
            self._send(pack_object(Kind.RAISED, describe(error)))
        else:
            self._acts[kind](value)

    def _send(self, message: bytes) -> None:
        with self._sending, contextlib.suppress(OSError):  # the other end is gone, and so are we
            self._sock.sendall(message)

    def _answer(self, function: Callable[[], object]) -> None:
        try:
            answer = pack_object(Kind.ANSWER, function())
        except Exception as error:  # noqa: BLE001 - raised again in the other process
            answer = pack_object(Kind.RAISED, describe(error))
        self._send(answer)

    def _open(self, opens: Opens) -> None:
        self._close()
        self._forget()  # a play that never began
        reset_peak()

        def opened() -> list[Opened]:
            self._sources = opens()
            collect_new_alone()
            return [
                Opened(s.facts, str(s.error) if isinstance(s, Absent) else None)
                for s in self._sources
            ]

        self._answer(opened)

    def _call(self, call: tuple[Callable[..., object], tuple[object, ...]]) -> None:
        function, arguments = call
        self._answer(partial(function, self._sources, *arguments))
        self._sources = ()

    def _play(self, played: Played) -> None:
        self._answer(partial(self._begin, played))

    def _begin(self, played: Played) -> None:
        memory = self._memory = Memory(self._file, played.layout)
        self._readers, self._rooms = [], []
        records = [
            SharedRecord(stream, source.facts, memory.counts(place))
            for place, (stream, source) in enumerate(
                zip(played.streams, self._sources, strict=True)
            )
        ]
        streams = list(zip(self._sources, records, strict=True))
        if played.serves is not None:
            outlets = self._send, self._failed
            self._serving = Serving(played, played.serves, memory, streams, *outlets)
            self._readers = self._serving.readers
            return
        for place, (source, record) in enumerate(streams):
            room = Room(record.counts, played.pacing.depth)
            rooms = Rooms(memory, place, played.pixels, source.facts.name)
            hands = Hands(
                partial(self._hand, place, record, rooms),
                partial(self._ended, place, record),
                self._failed,
            )
            taking = Taking(source, record, played.pacing, played.first, hands, rooms, room)
            self._rooms.append(room)
            self._readers.append(taking.reader)

    def _stop(self, stream: int) -> None:
        for reader in self._readers[stream : stream + 1]:
            reader.stop()

    def _give_up(self, given: tuple[int, str]) -> None:
        if self._serving is not None:
            self._serving.give_up(*given)

    def _wake(self, stream: int) -> None:
        """Let a stream's reader look for room; a frame may come through after the play's end."""
        for room in self._rooms[stream : stream + 1]:
            room.wake()

    def _close(self) -> None:
        """Close the sources; those that were read are closed already, and others never began."""
        for source in self._sources:
            source.close()
        self._sources = ()

    def _forget(self) -> None:
        """Let go of a play."""
        if self._serving is not None:
            self._serving.close()
        self._readers, self._rooms, self._memory, self._serving = [], [], None, None

    def _hand(self, place: int, record: SharedRecord, rooms: Rooms, ready: Ready) -> None:
        frame = ready.frame
        handed = Handed(
            place,
            frame.number,
            record.taken - 1,
            *frame.pixels.size,
            ready.fed is not None,
            rooms.pixels.wanted(inferred=ready.fed is not None),
            frame.pts_s,
            frame.due_ns,
            ready.began_ns,
            ready.decoded_ns,
            ready.prepared_ns,
        )
        self._send(pack_frame(handed))

    def _ended(self, place: int, record: SharedRecord) -> None:
        told = Told(place, problem=record.problem, notes=record.notes)
        self._send(pack_object(Kind.TOLD, told))

    def _failed(self, error: Exception) -> None:
        self._send(pack_object(Kind.FAILED, describe(error)))

    def _end(self, limit_s: float) -> None:
        """Let the readers end; answer whether all of them did."""
        end_s = time.monotonic() + limit_s
        for reader in self._readers:
            reader.stop()
        alive = [reader for reader in self._readers if reader.is_alive]
        for reader in alive:
            reader.join(max(0.0, end_s - time.monotonic()))
        over = not any(reader.is_alive for reader in alive)
        if over:
            self._close()
        self._forget()
        self._answer(lambda: over)


def main() -> None:
    """Serve the socket of the command line."""
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        os.chdir(sys.argv[3])  # clips are named from there
        Process(sock, int(sys.argv[2])).run()
    os._exit(0)  # a decoder may hold a thread for good


if __name__ == "__main__":
    main()
