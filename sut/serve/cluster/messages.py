"""The control messages of a session: msgspec structures, which travel as MessagePack.

Each side decodes only those that the other may send.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

# Needed at run time: msgspec reads the annotations to decode a message.
from backends.base import OptionValue
from sut.config.cluster import Remote
from sut.config.settings import HarnessSettings
from sut.serve.workers.executor import Timing

# Raise it when a message changes; two sides that differ refuse each other.
PROTOCOL = 3
# Both ends say that they are there so often, and count the other as lost after so long. An agent
# says it by Beat: it is lost when it stands still, too. ZeroMQ says it for the run (ZMTP's
# heartbeat): LoadGen may hold the interpreter's lock for seconds while it issues millions of
# samples.
BEAT_S, SILENT_S = 0.25, 1.5


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of the control messages; the name of its class tells them apart."""


# A run to the agent of a node


class Hello(Message, frozen=True):
    """The first message. The answer is Welcome or Refused.

    Attributes:
        protocol: PROTOCOL.
        version: of the program.
        who: host and process, for messages.
    """

    protocol: int
    version: str
    who: str


class Begin(Message, frozen=True):
    """What to run. The answer is Ready or Refused, after any number of Step.

    Attributes:
        harness: of this node's devices; see HarnessSettings.of_node.
        remote: what the node must find by itself.
        model: name and SHA-256 of each file of the model.
    """

    harness: HarnessSettings
    remote: Remote
    model: dict[str, str]


class Bye(Message, frozen=True):
    """The session is over.

    Attributes:
        spoiled: something failed, so the worker processes are not used again.
    """

    spoiled: bool


# The agent of a node to a run


class Welcome(Message, frozen=True):
    """The session is open; its number is in the head.

    Attributes:
        name: of the node.
    """

    name: str


class Refused(Message, frozen=True):
    """The session ends before it began, or because of what was asked.

    Attributes:
        kinds: of the error; see sut.serve.workers.failures.Raised.
        text: the one line that the user reads.
        is_busy: the node works for another run.
    """

    kinds: tuple[str, ...]
    text: str
    is_busy: bool = False


class Step(Message, frozen=True):
    """What takes long now; a worker says it, too, while it opens."""

    text: str


class Ready(Message, frozen=True):
    """The workers listen, and the samples are prepared.

    Attributes:
        ports: of each worker, in the order of `harness.worker_devices()`.
        count: samples in the data set.
        digest: of the samples; see sut.config.workload.Samples.
    """

    ports: tuple[int, ...]
    count: int
    digest: str


class Beat(Message, frozen=True):
    """The agent is there. It sends it every BEAT_S."""


class WorkerEnded(Message, frozen=True):
    """A worker process ended by itself.

    Attributes:
        worker: its place in the order of Ready.
        how: it ended, in words.
    """

    worker: int
    how: str


# A run to a worker, and back; each call has one answer, in order


class Open(Message, frozen=True):
    """Open the engine. The answer is Opened."""


class Load(Message, frozen=True):
    """Load samples in place of the previous ones. The answer is Loaded.

    Attributes:
        indices: int32 data set indices in LoadGen's order.
    """

    indices: bytes


class WarmUp(Message, frozen=True):
    """Measure S(b). The answer is Measured. See Executor.warm_up; `indices` are int32."""

    indices: bytes
    sizes: tuple[int, ...]
    limit_s: float


class Count(Message, frozen=True):
    """Tell what was counted. The answer is Counted."""


class Echo(Message, frozen=True):
    """Answer at once, which times the wire, there and back. The answer is Took."""


class Alone(Message, frozen=True):
    """Time a batch that runs alone. The answer is Took. See Executor.alone_ns; int32 `indices`."""

    indices: bytes
    size: int


class WayIn(Message, frozen=True):
    """Time the way of a batch to its idle device. The answer is Took.

    See Executor.way_in_ns; `indices` are int32. An engine that takes one batch at a time has none.
    """

    indices: bytes
    size: int


class Opened(Message, frozen=True):
    """The facts of the engine."""

    facts: dict[str, OptionValue]


class Loaded(Message, frozen=True):
    """The samples are in memory."""


class Measured(Message, frozen=True):
    """S(b) by size."""

    timings: dict[int, Timing]


class Counted(Message, frozen=True):
    """See Executor.counts."""

    counts: dict[str, float]


class Took(Message, frozen=True):
    """How long something took, in ns; None: there was nothing to time."""

    ns: int | None


class CallFailed(Message, frozen=True):
    """A call raised; see sut.serve.workers.failures.Raised."""

    kinds: tuple[str, ...]
    text: str
    traceback: str


class BatchFailed(Message, frozen=True):
    """A batch raised.

    Attributes:
        number: of the batch.
        error: the exception in one line.
        traceback: its traceback.
    """

    number: int
    error: str
    traceback: str


Call: TypeAlias = Open | Load | WarmUp | Count | Echo | Alone | WayIn
Reply: TypeAlias = Opened | Loaded | Measured | Counted | Took | CallFailed
ToNode: TypeAlias = Hello | Begin | Bye
FromNode: TypeAlias = Welcome | Refused | Step | Ready | WorkerEnded | Beat
FromWorker: TypeAlias = Reply | Step | BatchFailed

TO_NODE = msgspec.msgpack.Decoder(ToNode)
FROM_NODE = msgspec.msgpack.Decoder(FromNode)
TO_WORKER = msgspec.msgpack.Decoder(Call)
FROM_WORKER = msgspec.msgpack.Decoder(FromWorker)
