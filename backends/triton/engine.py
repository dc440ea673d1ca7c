"""Runs batches on a remote server over HTTP: Triton itself, or `sut serve`.

Each slot has a connection of its own, so several requests are under way at once. The server may put
them into one batch with those of others. Knows tensors only; nothing here computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from backends.arrays import check_arrays, check_samples
from backends.base import check_rows
from backends.options import read_options
from backends.rows import gather
from backends.triton.connection import Connection, Server
from backends.triton.parts import ClientParts
from backends.triton.remote import read_parts, read_remote
from sut.base.errors import ConfigError, EngineError
from sut.base.kserve import HEADER_LENGTH, NUMPY_NAMES, PROTOCOL_NAMES
from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, EngineSpec, OptionValue
    from backends.triton.remote import Parts, Remote

WHERE = "triton backend"
_SIZE = "binary_data_size"
_JOINED_BYTES = 1 << 16  # up to this, one packet costs less than several writes

Seconds = Annotated[float, Meta(gt=0, le=3600)]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the triton backend.

    Attributes:
        url: of the server: HOST:PORT, or with http:// or https://.
        model: as the server calls it.
        token: sent as Authorization: Bearer; @FILE reads it, and keeps it out of run folders.
        timeout_s: of each wait on the network.
    """

    url: str = ""
    model: str = ""
    token: str = ""
    timeout_s: Seconds = 30.0


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    outputs: list[_Output]


class _Slot:
    """A connection and the batch that is under way on it."""

    __slots__ = ("count", "link", "room")

    def __init__(self, link: Connection, room: tuple[Array, ...]) -> None:
        self.link = link
        self.room = room
        self.count = 0  # rows under way; 0: the slot is free


class TritonEngine:
    """A `backends.base.AsyncEngine` whose device is a server."""

    def __init__(self, spec: EngineSpec, options: Options, server: Server, remote: Remote) -> None:
        self.inputs = remote.inputs
        self.outputs = remote.outputs
        self.max_batch_size = spec.max_batch_size
        self.sizes: tuple[int, ...] = ()
        self.slots = max(1, spec.slots)
        self.facts: Mapping[str, OptionValue] = {
            "backend": "triton",
            "version": remote.version,
            "provider": f"{server.name}, {remote.server}, {remote.platform}",
            "precision": "unknown",  # the protocol does not say
            "model": options.model,
            "server_max_batch_size": remote.max_batch_size,
            "simulated": remote.simulated,
        }
        self._where = f"{server.name}, model {options.model}"
        self._remote = remote
        self._pages = Connection(server, HEADER_LENGTH)
        rows = spec.max_batch_size
        self._slots = [
            _Slot(
                Connection(server, HEADER_LENGTH),
                tuple(np.zeros((rows, *t.sizes), t.dtype) for t in remote.inputs),
            )
            for _ in range(self.slots)
        ]
        self._heads: dict[int, bytes] = {}
        self._decode = msgspec.json.Decoder(_Answer).decode
        self._samples: tuple[Array, ...] = ()
        self._closed = False
        self._finished_ns = 0
        self._parts = ClientParts()
        self._before: Parts | None = None

    def bind(self, samples: Arrays) -> None:
        """See `Engine.bind`."""
        self._check_open()
        self._samples = check_samples(samples, self.inputs, self._where)

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`."""
        self.launch(0, rows)
        return self.wait(0)[0]

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See `Engine.infer_arrays`."""
        self.launch_arrays(0, arrays)
        return self.wait(0)[0]

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        """See `AsyncEngine.launch`. Returns when the request is sent."""
        self._check_open()
        if not self._samples:
            raise EngineError(f"{self._where}: the engine is without samples. Call bind first.")
        check_rows(rows, len(self._samples[0]), self.max_batch_size, self._where)
        taken = self._free(slot)
        parts = zip(self._samples, taken.room, strict=True)
        self._send(taken, [gather(samples, rows, room) for samples, room in parts], len(rows))

    def launch_arrays(self, slot: int, arrays: Arrays) -> None:
        """See `AsyncEngine.launch_arrays`."""
        self._check_open()
        batch = check_arrays(arrays, self.inputs, self.max_batch_size, self._where)
        taken = self._free(slot)
        count = len(batch[0])
        for array, room in zip(batch, taken.room, strict=True):
            room[:count] = array  # the caller may change its own, and the request may go twice
        self._send(taken, [room[:count] for room in taken.room], count)

    def wait(self, slot: int) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """See `AsyncEngine.wait`.

        A server does not say when its device began. A batch starts when it is sent or, if that is
        later, when the one before it was answered.

        Raises:
            EngineError: as every engine, or the server answers with an error or not at all.
        """
        flying = self._slots[slot] if 0 <= slot < self.slots else None
        if flying is None or not flying.count:
            raise EngineError(f"{self._where}: nothing was launched in slot {slot}. Launch first.")
        count, link = flying.count, flying.link
        try:
            answer = link.receive()
        finally:
            flying.count = 0
        outputs = self._outputs(answer.body, answer.header_length, count)
        times = link.times
        self._parts.add(times)
        started_ns = max(times.started, self._finished_ns)
        self._finished_ns = times.received
        return outputs, (started_ns, times.received)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed:
            return
        self._closed = True
        self._samples = ()
        for link in (self._pages, *(slot.link for slot in self._slots)):
            link.close()

    def count_anew(self) -> None:
        """See `CountingEngine.count_anew`."""
        self._parts = ClientParts()
        self._before = self._statistics()

    def counted(self) -> dict[str, float]:
        """See `CountingEngine.counted`; other clients' requests are in what the server counted."""
        now = None if self._before is None else self._statistics()
        return self._parts.sums(self._before, now)

    def _statistics(self) -> Parts | None:
        """Return what the server counted so far; None: it does not count, or is not there."""
        try:
            return read_parts(self._pages, self._remote, self._where)
        except EngineError:  # what a request needs of the server, the next request says
            return None

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")

    def _free(self, slot: int) -> _Slot:
        if not 0 <= slot < self.slots or self._slots[slot].count:
            raise EngineError(
                f"{self._where}: slot {slot} is not free; slots are 0 to {self.slots - 1}, and "
                "each holds one batch until it was waited for."
            )
        return self._slots[slot]

    def _send(self, slot: _Slot, arrays: list[Array], count: int) -> None:
        head = self._heads.get(count) or self._head(count)
        pieces: list[bytes | memoryview] = [head, *(array.data.cast("B") for array in arrays)]
        if sum(map(len, pieces)) <= _JOINED_BYTES:
            pieces = [b"".join(pieces)]
        headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        slot.link.send(f"{self._remote.path}/infer", pieces, headers)
        slot.count = count

    def _head(self, count: int) -> bytes:
        """Return the JSON of a request of `count` rows, and keep it."""
        inputs = [
            {
                "name": tensor.name,
                "shape": (count, *tensor.sizes),
                "datatype": PROTOCOL_NAMES[tensor.dtype],
                "parameters": {_SIZE: count * _sample_bytes(tensor.sizes, tensor.dtype)},
            }
            for tensor in self.inputs
        ]
        outputs = [{"name": t.name, "parameters": {"binary_data": True}} for t in self.outputs]
        head = msgspec.json.encode({"inputs": inputs, "outputs": outputs})
        self._heads[count] = head
        return head

    def _outputs(self, body: bytes, length: int | None, count: int) -> tuple[Array, ...]:
        try:
            head = self._decode(memoryview(body)[: len(body) if length is None else length])
            by_name: dict[str, Array] = {}
            at = length or 0
            for output in head.outputs:
                dtype = np.dtype(NUMPY_NAMES[output.datatype])
                size = int((output.parameters or {})[_SIZE])
                array = np.frombuffer(body, dtype, size // dtype.itemsize, at)
                by_name[output.name] = array.reshape(output.shape)
                at += size
            found = tuple(by_name[tensor.name] for tensor in self.outputs)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"{self._where}: the answer is none of the Open Inference Protocol with binary "
                f"outputs: {type(error).__name__}: {error}."
            ) from error
        for tensor, array in zip(self.outputs, found, strict=True):
            if array.dtype != tensor.dtype or array.ndim == 0 or len(array) != count:
                raise EngineError(
                    f'{self._where}: output "{tensor.name}" came as {list(array.shape)} '
                    f"{array.dtype.name} for a batch of {count}."
                )
        return found


def options_of(options: Mapping[str, OptionValue], device: str) -> Options:
    """Return the options, checked: see backends.base.check_options."""
    return read_options(options, Options, WHERE)


def open_engine(spec: EngineSpec) -> TritonEngine:
    """Ask the server for its model, and check that it fits; ignores `model_path` and `device`.

    Raises:
        ConfigError: an option that does not exist, is missing, or does not fit.
        EngineError: the server or the model is not there, or does not fit the benchmark.
    """
    options = options_of(spec.options, spec.device)
    for name in ("url", "model"):
        if not getattr(options, name):
            raise ConfigError(f"{WHERE}: option {name} is missing. Give it as --set {name}=...")
    server = Server.of(options.url, _token(options.token), options.timeout_s, WHERE)
    say_step(f"asking {server.name}")
    return TritonEngine(spec, options, server, read_remote(server, options.model, spec))


def _token(text: str) -> str | None:
    """Return the token; None: there is none."""
    if not text.startswith("@"):
        return text or None
    try:
        return Path(text[1:]).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{WHERE}: token: {text[1:]} cannot be read: {error.strerror}."
        ) from error


def _sample_bytes(sizes: tuple[int, ...], dtype: str) -> int:
    return math.prod(sizes) * np.dtype(dtype).itemsize
