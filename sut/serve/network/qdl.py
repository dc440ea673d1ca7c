"""MLPerf's Query Dispatch Library: on LoadGen's machine, in place of a SUT that is elsewhere.

It sends every sample of every query by itself to a node, and completes it with the bytes that come
back. It batches, pads, caches and changes nothing: batches are made on the nodes.
"""

from __future__ import annotations

import time
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING

from sut.base.steps import listener
from sut.serve.cluster import wire
from sut.serve.cluster.messages import CallFailed, Counted, Loaded, Step
from sut.serve.cluster.remote import RemoteWorker
from sut.serve.dispatcher import Dispatcher
from sut.serve.network import calls
from sut.serve.network.channel import PieceChannel, Travelling
from sut.serve.network.messages import (
    ANSWERS,
    NO_FRAME,
    SAMPLE,
    TRIED_SAMPLE,
    WARM_SAMPLE,
    pack_sample,
    unpack_answers,
)
from sut.serve.workers.connection import HANG_FACTOR
from sut.serve.workers.failures import Raised, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    import zmq

    from data.tasks.base import Frames
    from scenarios.base import Capacity
    from sut.serve.batch import Batch
    from sut.serve.cluster.channel import Poller
    from sut.serve.dispatcher import Outlets
    from sut.serve.network.packing import Pieces
    from sut.serve.network.policy import NodePolicy
    from sut.serve.responses import Responses


class Library:
    """The samples that LoadGen has loaded, as they travel.

    Attributes:
        samples: each, by data set index.
        frames: where they lie in their images; None: the postprocess needs not know.
    """

    def __init__(self, pieces: Mapping[int, Pieces], frames: Frames | None) -> None:
        self.samples = {index: Travelling.of(of_sample) for index, of_sample in pieces.items()}
        self.frames = None if frames is None or frames.table is None else frames

    def frame(self, index: int) -> Sequence[float]:
        """Return where a sample lies in its image."""
        return NO_FRAME if self.frames is None else self.frames.of(index).tolist()


class QueryDispatchLibrary(Dispatcher):
    """What LoadGen drives. See Dispatcher; its workers are nodes, and a batch is one sample."""

    def __init__(self, policy: NodePolicy, outlets: Outlets) -> None:
        super().__init__(policy, outlets)
        self._nodes_policy = policy

    def flush_queries(self) -> None:
        """LoadGen has issued the last query of a series; nodes hear of it when all is sent."""
        super().flush_queries()
        self._post(self.tell_if_drained)

    def answered(self, batches: Sequence[Batch], responses: Responses) -> None:
        """Complete the samples that one message answered, and send as many; see `finished`."""
        self._recording.update((batch.number, batch) for batch in batches)
        flying = [self._in_flight.pop(batch.number, None) is not None for batch in batches]
        if not all(flying):
            for late in compress(batches, map(not_, flying)):
                self._recording.pop(late.number, None)
            batches, responses = list(compress(batches, flying)), responses.of_those(flying)
        if batches:
            self._finish(batches, [batch.ids[0] for batch in batches], responses)

    def tell_if_drained(self) -> None:
        """Tell the nodes if the last sample has been sent. Whoever holds the lock calls it."""
        if self._nodes_policy.is_drained:
            for node in self._workers:
                assert isinstance(node, NetworkNode), "the QDL has no other workers"
                node.flush()


class NetworkNode(RemoteWorker):
    """The system on one node. See RemoteWorker: one connection, and a loss that is final."""

    def __init__(
        self, name: str, index: int, front: QueryDispatchLibrary, hang_floor_s: float
    ) -> None:
        super().__init__(name, index, front, hang_floor_s)
        self._drained, self._answered = front.tell_if_drained, front.answered
        self._library = Library({}, None)
        self._leaving: list[Library] = []  # those before, whose samples may not have left
        self.messages = self.bytes = 0
        """Samples that were sent since warm-up, and how large they were."""
        self.wire_ns = 0
        """Time of all answered samples on their ways."""

    def open_system(self) -> Future[calls.SystemOpened]:
        """Open all engines of the node."""
        self._hear = listener()
        return self._call("open", calls.OpenSystem())

    def expect(self, count: int, frames: Frames | None) -> Future[None]:
        """Let the node get ready for samples of this data set."""
        size = (0, 0) if frames is None else (frames.height, frames.width)
        has_frames = frames is not None and frames.table is not None
        return self._call("load", calls.Expect(count, *size, has_frames))

    def use(self, library: Library) -> None:
        """Send samples of this library from now on."""
        # A sample has left when it is answered. What a lost node leaves behind, libzmq may read
        # until the receiver has ended.
        if self.is_busy or self.is_gone:
            self._leaving.append(self._library)
        self._library = library

    def measure(
        self, indices: Sequence[int], samples_per_query: int, limit_s: float, bound_ns: float | None
    ) -> Future[Capacity]:
        """Send samples to warm up with, and let the node measure."""
        for index in indices:
            self._send_sample(0, index, WARM_SAMPLE)
        message = calls.WarmUpSystem(samples_per_query, limit_s, bound_ns)
        future: Future[Capacity] = self._call("warm_up", message)
        future.add_done_callback(self._set_limit_of)
        return future

    def try_way(self, indices: Sequence[int]) -> Future[None]:
        """Send samples that are only brought into their rows; the future tells when they are."""
        for index in indices:
            self._send_sample(0, index, TRIED_SAMPLE)
        return self._call("try", calls.Tried())

    def ask_name(self) -> Future[str]:
        """Ask the node who it is."""
        return self._call("name", calls.AskName())

    def submit(self, batch: Batch) -> None:
        """Send a sample. See sut.serve.dispatcher.BatchWorker."""
        now_ns = time.monotonic_ns()
        if not self._batches:
            self._since_ns = now_ns
        self._batches[batch.number] = batch, now_ns
        sent = self._send_sample(batch.number, batch.indices[0], SAMPLE)
        if not sent and self._gone is not None:  # else the receiver will answer for it
            self._done(batch, None)
        self._drained()

    def flush(self) -> None:
        """Tell the node that no further sample comes for now."""
        assert self._channel is not None, "open comes first"
        self._channel.send(wire.pack(self._session, calls.Flush()))

    def _send_sample(self, number: int, index: int, kind: int) -> bool:
        assert isinstance(self._channel, PieceChannel), "open comes first"
        library = self._library
        sample = library.samples[index]
        head = pack_sample(self._session, number, index, library.frame(index), kind)
        self.messages += 1
        self.bytes += sample.size
        return self._channel.send_sample(head, sample)

    def begin(self) -> None:
        """Count what is sent from now on."""
        self.messages = self.bytes = 0

    def _set_limit_of(self, measured: Future[Capacity]) -> None:
        if not measured.exception():
            found = measured.result()
            batch_ns = found.max_batch_size / found.samples_per_s * 1e9
            self._limit_ns = max(HANG_FACTOR * batch_ns, self._hang_floor_s * 1e9)

    # the receiver's thread

    def _channel_of(self, sock: zmq.Socket[bytes], poller: Poller) -> PieceChannel:
        return PieceChannel(sock, poller.missed)

    def _hear_all(self) -> None:
        assert self._channel is not None, "it connected"
        for _, data in self._channel.receive():
            kind, session = wire.head_of(data)
            if session != self._session:
                continue  # of a session before
            if kind == ANSWERS:
                self._settle_all(data)
            else:
                self._hear_call(wire.unpack(data, calls.FROM_SYSTEM))

    def _settle_all(self, data: bytes) -> None:
        now_ns = self._since_ns = time.monotonic_ns()
        answers = unpack_answers(data)
        served_ns = now_ns - max(0, answers.served_ns)
        batches = []
        for number, stayed_ns in zip(answers.numbers, answers.stayed_ns, strict=True):
            batch, sent_ns = self._batches.pop(number)
            batch.started_ns, batch.finished_ns = max(sent_ns, served_ns), now_ns
            self.wire_ns += max(0, now_ns - sent_ns - stayed_ns)
            batches.append(batch)
        self._answered(batches, answers.responses)

    def _hear_call(self, message: calls.FromSystem) -> None:
        match message:
            case Step():
                self.hear_step(message.text)
            case calls.SystemFailed():
                self._fail(f"{self.name}: {message.text}", message.traceback)
            case CallFailed():
                method, future = self._next_call()
                raised = Raised(message.kinds, message.text, message.traceback)
                future.set_exception(named(raised, self.name, method))
            case calls.SystemOpened():
                self._next_call()[1].set_result(message)
            case calls.SystemMeasured():
                self._next_call()[1].set_result(message.capacity)
            case calls.Named():
                self._next_call()[1].set_result(message.name)
            case Counted():
                self._next_call()[1].set_result(message.counts)
            case Loaded():
                self._next_call()[1].set_result(None)
