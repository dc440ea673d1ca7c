"""The door between HTTP and the dispatcher: an ASGI application that answers inference requests.

The server's thread reads a request, issues its samples, and sends the answer; the workers' threads
wake it once for each batch. Knows the dispatcher's front and given queries; not the policy, no
engine, and no socket. Other pages than inference are those of sut.load.http_pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from sut.base.kserve import HEADER_LENGTH, VERSION
from sut.load.http_errors import BINARY, Refused, bad
from sut.load.http_statistics import Statistics
from sut.serve.given import GivenQuery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from typing import TypeAlias

    from sut.load.http_tensors import Codec, Request
    from sut.serve.given import GivenQueries, Run
    from sut.serve.pool import Front

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    Page: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)

_LENGTH_NAME = HEADER_LENGTH.lower().encode()
_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
_HEALTH = ("/v2/health/live", "/v2/health/ready")
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What clients may ask for at once.

    Attributes:
        body_bytes: of one request.
        json_bytes: of them, as JSON: to read it keeps the server from its other clients.
        held_bytes: of all requests that are read or wait for their answer.
        queue_samples: without an answer.
        samples_per_s: what the workers answer; says when to come again.
    """

    body_bytes: int
    json_bytes: int
    held_bytes: int
    queue_samples: int
    samples_per_s: float


class Reply(NamedTuple):
    """An answer: its status, its headers but for those of every answer, and its body."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class _Held(GivenQuery):
    """A given query and whose it is."""

    __slots__ = ("inference",)
    inference: Inference


class Inference:
    """One request for inference, from its headers to its answer; see Door.begin."""

    __slots__ = ("_came_ns", "_door", "_header_length", "_length", "_request", "_send")

    def __init__(self, door: Door, length: int, header_length: int | None) -> None:
        self._door = door
        self._came_ns = time.monotonic_ns()
        self._length = length
        self._header_length = header_length

    def whole(self, body: bytes | bytearray, send: Callable[[Reply], None]) -> None:
        """Its body is here and stays as it is; `send` gets the answer, once, at once or later."""
        door = self._door
        self._send = send
        try:
            self._request = door.codec.read(body, self._header_length)
            door.issue(self, self._request)
        except Exception as error:  # noqa: BLE001 - the client must hear of it
            self.gone()
            send(door.refuse(_told(error)))

    def gone(self) -> None:
        """Its client left before its body was whole, or it is refused."""
        self._door.held_bytes -= self._length

    def answered(self, query: GivenQuery) -> None:
        """Send the answer, even if its client left: what was issued is answered."""
        door = self._door
        try:
            reply = self._reply(query)
        except Exception as error:  # noqa: BLE001 - others of its batch wait for their answers
            reply = door.refuse(_told(error))
        self.gone()
        self._send(reply)

    def _reply(self, query: GivenQuery) -> Reply:
        door = self._door
        if query.failed:
            door.statistics.failed(time.monotonic_ns() - self._came_ns)
            raise Refused(500, door.refusal or "the engine failed")
        answer, json_bytes = door.codec.write(self._request, query.outputs())
        door.statistics.answered(query, time.monotonic_ns() - self._came_ns)
        door.statistics.responses[200] += 1
        sized = (b"content-length", b"%d" % len(answer))
        if json_bytes is None:
            return Reply(200, (_JSON, sized), answer)
        return Reply(200, (_BINARY, sized, (_LENGTH_NAME, b"%d" % json_bytes)), answer)


class Door:
    """The ASGI application. All methods but `deliver` and `fail` belong to the server's thread.

    Args:
        queries: where given tensors wait; it must call `deliver`.
        codec: of the model.
        limits: what clients may ask for.
        token: that every request but those for health must carry; None: none.
        model: its name.
    """

    def __init__(self, model: str, codec: Codec, limits: DoorLimits, token: str | None) -> None:
        self.codec = codec
        self._limits = limits
        self._token = None if token is None else b"Bearer " + token.encode()
        own = f"/v2/models/{model}"
        self._infer_paths = (f"{own}/infer", f"{own}/versions/{VERSION}/infer")
        self.statistics = Statistics(model)
        self.waiting = 0
        """Samples without an answer."""
        self.held_bytes = 0
        """Bytes of the requests that are read or wait."""
        self.refusal: str | None = None
        """Why nothing more is accepted; None: everything is well."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unissued: list[_Held] = []

    def open(self, queries: GivenQueries, front: Front, pages: Page) -> None:
        """Start to accept requests; called on the server's thread, inside its loop."""
        self._queries, self._front, self._pages = queries, front, pages
        self._loop = asyncio.get_running_loop()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification."""
        try:
            headers = dict(scope["headers"])
            if scope["path"] not in _HEALTH:
                self._check_token(headers)
            if not self._is_inference(scope):
                await self._pages(scope, receive, send)
                return
            reply = await self._infer(self._begun(headers), receive)
        except Refused as refused:
            reply = self.refuse(refused)
        if reply is not None:
            start = {"type": "http.response.start", "status": reply.status}
            await send({**start, "headers": reply.headers})
            await send({"type": "http.response.body", "body": reply.body})

    def begin(self, scope: Message) -> Inference | None:
        """Begin a request for inference without the detour of a task; the headers are here.

        Returns:
            What `whole` or `gone` must be called of, once; None: `__call__` answers this request.
        """
        if self._is_inference(scope):
            headers = dict(scope["headers"])
            with contextlib.suppress(Refused):  # which `__call__` tells the client
                self._check_token(headers)
                return self._begun(headers)
        return None

    def deliver(self, run: Run | None, done: list[GivenQuery]) -> None:
        """Hand over what a batch answered; any thread. See GivenQueries."""
        assert self._loop is not None, "nothing is issued before open"
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, run, cast("list[_Held]", done))

    def _settle(self, run: Run | None, done: Sequence[_Held]) -> None:
        if run is not None:
            self.statistics.batch(run)
        for query in done:
            self.waiting -= query.samples
            query.inference.answered(query)

    def _is_inference(self, scope: Message) -> bool:
        return scope["path"] in self._infer_paths and scope["method"] == "POST"

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        if self._token is None:
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            raise Refused(401, "the token is missing or wrong; send Authorization: Bearer TOKEN")

    def _begun(self, headers: dict[bytes, bytes]) -> Inference:
        """Count a request among those held; raise Refused before its body is read."""
        length, header_length = self._checked(headers)
        self.held_bytes += length
        return Inference(self, length, header_length)

    async def _infer(self, inference: Inference, receive: Receive) -> Reply | None:
        message = await receive()
        if message["type"] == "http.disconnect":
            inference.gone()
            return None
        assert self._loop is not None, "open comes first"
        answered: asyncio.Future[Reply] = self._loop.create_future()
        # The connection hands over whole bodies: see sut.load.http_server.
        inference.whole(message["body"], partial(_settled, answered))
        return await answered

    def issue(self, inference: Inference, request: Request) -> None:
        """Issue the samples of a request; raise Refused if the queue is full."""
        assert self._loop is not None, "open comes first"
        samples, most = request.samples, self._limits.queue_samples
        if samples > most:
            raise Refused(413, f"a request of {samples} samples; at most {most} fit in the queue")
        if self.waiting + samples > most:
            raise self._busy(f"{self.waiting} samples wait; the queue takes {most}")
        query = _Held(request.arrays, samples, time.monotonic_ns())
        query.inference = inference
        self.waiting += samples
        if not self._unissued:
            self._loop.call_soon(self._issue)
        self._unissued.append(query)

    def _issue(self) -> None:
        """Issue together what was read in one turn of the loop."""
        ids: list[int] = []
        indices: list[int] = []
        for query in self._unissued:
            of_query = self._queries.add(query)
            ids += of_query[0]
            indices += of_query[1]
        self._unissued.clear()
        self._front.issue_query(ids, indices)

    def _checked(self, headers: dict[bytes, bytes]) -> tuple[int, int | None]:
        """Return the lengths of the body and of its JSON; raise Refused before it is read."""
        if self.refusal is not None:
            raise Refused(503, self.refusal)
        if b"content-encoding" in headers:
            raise Refused(415, "the body is compressed, which this server does not support")
        limits = self._limits
        try:
            length = int(headers[b"content-length"])
        except KeyError:
            raise Refused(411, "the request has no Content-Length") from None
        if length > limits.body_bytes:
            raise Refused(413, f"a body of {length} bytes; at most {limits.body_bytes} are read")
        given = headers.get(_LENGTH_NAME)
        if given is not None and not given.isdigit():
            raise bad(f"{HEADER_LENGTH} is no number of bytes")
        header_length = None if given is None else int(given[:20])
        in_json = length if header_length is None else min(length, header_length)
        if in_json > limits.json_bytes:
            raise Refused(
                413, f"{in_json} bytes of JSON; at most {limits.json_bytes} are read. {BINARY}"
            )
        if self.held_bytes + length > limits.held_bytes:
            raise self._busy(f"requests of {self.held_bytes} bytes are in memory")
        return length, header_length

    def _busy(self, text: str) -> Refused:
        seconds = math.ceil(self.waiting / max(1.0, self._limits.samples_per_s))
        return Refused(503, text, max(1, seconds))

    def refuse(self, refused: Refused) -> Reply:
        """Return what a client is told whose request is not answered, and count it."""
        body = msgspec.json.encode({"error": str(refused)})
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        if refused.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % refused.retry_after_s))
        self.statistics.responses[refused.status] += 1
        return Reply(refused.status, headers, body)


def _told(error: Exception) -> Refused:
    """Return what the client is told of an error; one of our own goes to the log, too."""
    if isinstance(error, Refused):
        return error
    logger.error("a request failed", exc_info=error)
    return Refused(500, f"the server failed: {type(error).__name__}")


def _settled(answered: asyncio.Future[Reply], reply: Reply) -> None:
    if not answered.done():  # its task was cancelled
        answered.set_result(reply)
