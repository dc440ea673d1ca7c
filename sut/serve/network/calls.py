"""The control messages between a Query Dispatch Library and the system on a node.

Besides those of sut.serve.cluster.messages, which open the session and keep it alive.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

# Needed at run time: msgspec reads the annotations to decode a message.
from backends.base import OptionValue
from scenarios.base import Capacity
from sut.serve.cluster.messages import CallFailed, Count, Counted, Loaded, Message, Step


class OpenSystem(Message, frozen=True):
    """Open all engines. The answer is SystemOpened."""


class Expect(Message, frozen=True):
    """Get ready for samples. The answer is Loaded.

    Attributes:
        count: samples in the data set.
        height: of an image, in pixels; 0: the postprocess needs not know.
        width: likewise.
        has_frames: each sample brings where it lies in its image.
    """

    count: int
    height: int
    width: int
    has_frames: bool


class WarmUpSystem(Message, frozen=True):
    """Warm up with the samples that came for it. The answer is SystemMeasured.

    See sut.serve.pool.System.warm_up for the fields.
    """

    samples_per_query: int
    limit_s: float
    bound_ns: float | None


class AskName(Message, frozen=True):
    """Say who you are. The answer is Named."""


class Tried(Message, frozen=True):
    """Say when all samples that tried the way are here. The answer is Loaded."""


class Flush(Message, frozen=True):
    """The last sample of a series was sent: none needs to wait for another. There is no answer."""


class SystemOpened(Message, frozen=True):
    """The engines are open.

    Attributes:
        facts: of each engine.
        machine: a hash that tells machines apart.
        software: of the network, with versions.
    """

    facts: tuple[dict[str, OptionValue], ...]
    machine: str
    software: str


class SystemMeasured(Message, frozen=True):
    """What the engines of a node can do together."""

    capacity: Capacity


class Named(Message, frozen=True):
    """The name of a node."""

    name: str


class SystemFailed(Message, frozen=True):
    """A batch or an engine failed, so the run ends.

    Attributes:
        text: one line.
        traceback: of the exception.
    """

    text: str
    traceback: str


ToSystem: TypeAlias = OpenSystem | Expect | WarmUpSystem | AskName | Tried | Flush | Count
FromSystem: TypeAlias = (
    SystemOpened | Loaded | SystemMeasured | Named | Counted | CallFailed | SystemFailed | Step
)
TO_SYSTEM = msgspec.msgpack.Decoder(ToSystem)
FROM_SYSTEM = msgspec.msgpack.Decoder(FromSystem)
