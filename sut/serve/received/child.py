"""The process on a node that is its system in the network division.

The agent of the node starts it as `python -m sut.serve.received.child FD NAME CPUS --keep`, and
tells it over the socket which session it listens for. The Query Dispatch Library of the run then
speaks to it without the agent between. Knows one session at a time.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, cast

import zmq

from data.tasks.base import FrameFile
from sut.base import environment
from sut.base.process import collector_off, collector_on, keep_large_blocks
from sut.base.steps import heard_by
from sut.serve.cluster import wire
from sut.serve.cluster.messages import CallFailed, Count, Counted, Loaded
from sut.serve.cluster.security import say
from sut.serve.cluster.worker import RemoteChild, SystemListening
from sut.serve.network import calls
from sut.serve.network.messages import (
    SAMPLE,
    TRIED_SAMPLE,
    WARM_SAMPLE,
    pack_answers,
    unpack_sample,
)
from sut.serve.network.packing import DecodeImage, inflate
from sut.serve.received.channel import Room, SampleChannel
from sut.serve.received.side import SutSide, Told
from sut.serve.workers.child import main
from sut.serve.workers.failures import describe

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from data.benchmark import Benchmark
    from sut.config.arguments import Travel
    from sut.serve.cluster.messages import Message
    from sut.serve.dispatcher import Failure
    from sut.serve.network.packing import Unpack
    from sut.serve.received.channel import Arrival
    from sut.serve.responses import Responses

_KINDS = (SAMPLE, WARM_SAMPLE, TRIED_SAMPLE)


class SystemChild(RemoteChild):
    """Answers the calls and the samples of the run whose session it listens for."""

    _listening: SystemListening
    _side: SutSide | None = None

    def __init__(self) -> None:
        keep_large_blocks()  # libzmq has memory of its own for each sample that comes
        super().__init__()

    def serve(self, sock: socket.socket) -> None:
        """See RemoteChild. The engines are closed with the session."""
        super().serve(sock)
        side, self._side = self._side, None
        if side is not None:
            side.close()
            del side
            collector_on()  # the engines' circles hold memory of their devices

    def _channel_of(self, sock: zmq.Socket[bytes]) -> SampleChannel:
        return SampleChannel(sock, self._poller.missed, self._room)

    def _room(self, sender: bytes, head: bytes) -> Room | None:
        """Say where a sample goes; None for what is no sample of this session, or too many."""
        try:
            kind, session = wire.head_of(head)
            found = unpack_sample(head)
        except wire.Malformed:
            return None
        of_run = kind in _KINDS and session == self._listening.session and sender == self._peer
        taken = self._side.take(found) if of_run and self._side is not None else None
        if taken is None:
            return None
        row, place = taken
        return Room(row, kind, place if self._listening.travel == "raw" else ())

    def _hear_all(self) -> None:
        channel = cast("SampleChannel | None", self._channel)
        assert channel is not None, "it is watched from `listen` to the end of the session"
        for arrival in channel.arrivals():
            try:
                self._take(arrival)
            except wire.Malformed as error:
                say(f"{self._name}: refused a message: {error}")

    def _take(self, arrival: Arrival) -> None:
        if arrival.room is not None:
            self._take_sample(arrival, arrival.room)
            return
        kind, session = wire.head_of(arrival.head)
        if session != self._listening.session:
            raise wire.Malformed(f"session {session:016x} is not open here")
        if kind in _KINDS or arrival.pieces:
            raise wire.Malformed("a sample that there is no room for, or that is none")
        if self._peer is None:
            self._peer = arrival.sender
        if arrival.sender != self._peer:
            raise wire.Malformed(f"session {session:016x} has its run already")
        answer = self._answered(wire.unpack(arrival.head, calls.TO_SYSTEM))
        if answer is not None:
            self._tell(answer)

    def _take_sample(self, arrival: Arrival, room: Room) -> None:
        side = self._side
        assert side is not None, "it gave the room"
        expected = [len(piece) for piece in room.place]
        if arrival.sizes != expected or bool(arrival.pieces) == bool(expected):
            side.give_back(room.row)
            found = ", ".join(map(str, [*arrival.sizes, *map(len, arrival.pieces)]))
            raise wire.Malformed(f"a sample of {found or 'no'} bytes; expected {expected}")
        if expected:
            side.arrived(room.row, room.kind)
        else:
            side.arrived_packed(room.row, arrival.pieces, room.kind)

    def _answered(self, call: calls.ToSystem) -> Message | None:
        try:
            return self._called(call)
        except Exception as error:  # noqa: BLE001 - raised again where the run is
            return CallFailed(*describe(error))

    def _called(self, call: calls.ToSystem) -> Message | None:
        answer: Message | None = None
        match call:
            case calls.AskName():
                answer = calls.Named(self._listening.node)
            case calls.OpenSystem():
                answer = self._open()
            case calls.Flush():
                self._there().flush()
            case calls.Tried():
                self._there().settle()
                answer = Loaded()
            case calls.Expect():
                path = "they come" if call.has_frames else ""
                frame = FrameFile(call.height, call.width, path) if call.height else None
                self._there().expect(call.count, frame)
                answer = Loaded()
            case calls.WarmUpSystem():
                found = self._there().warm_up(call.samples_per_query, call.limit_s, call.bound_ns)
                collector_off()
                answer = calls.SystemMeasured(found)
            case Count():
                answer = Counted(self._there().counts())
        return answer

    def _open(self) -> calls.SystemOpened:
        listening = self._listening
        self._side = side = SutSide(
            listening.request,
            Told(self._tell_answers, self._tell_failure),
            unpack_of(listening.travel, listening.benchmark),
        )
        with heard_by(self._say):
            facts = side.open()
        return calls.SystemOpened(tuple(facts), environment.machine_hash(), software())

    def _there(self) -> SutSide:
        if self._side is None:
            raise wire.Malformed("a call before the engines are open")
        return self._side

    def _tell_answers(
        self, numbers: Sequence[int], stayed_ns: Sequence[int], served_ns: int, found: Responses
    ) -> None:
        session = self._listening.session
        self._put(pack_answers(session, numbers, stayed_ns, served_ns, found))

    def _tell_failure(self, failure: Failure) -> None:
        self._tell(calls.SystemFailed(failure.message, failure.traceback))


def unpack_of(travel: Travel, benchmark: Benchmark) -> Unpack | None:
    """Return what brings samples into their rows; None: they come as they are."""
    if travel == "raw":
        return None
    return inflate if travel == "lossless" else DecodeImage(benchmark)


def software() -> str:
    """Return what the network runs on, with versions."""
    return (
        f"{environment.os_name()}, Linux {platform.release()}, pyzmq {zmq.__version__}, "
        f"libzmq {zmq.zmq_version()}"
    )


if __name__ == "__main__":
    main(SystemChild)
