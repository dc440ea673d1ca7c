"""The door between HTTP and the dispatcher: an ASGI application that answers inference requests.

The server's thread reads a request, issues its samples, and sends the answer; the workers' threads
wake it once for each batch. Knows the dispatcher's front and given queries; not the policy, no
engine, and no socket. Other pages than inference are those of sut.load.http_pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from sut.base.kserve import HEADER_LENGTH, VERSION
from sut.load.http_errors import Refused, bad
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
        held_bytes: of all requests that are read or wait for their answer.
        queue_samples: without an answer.
        samples_per_s: what the workers answer; says when to come again.
    """

    body_bytes: int
    held_bytes: int
    queue_samples: int
    samples_per_s: float


class _Held(GivenQuery):
    """A given query and who waits for it."""

    __slots__ = ("answered",)
    answered: asyncio.Future[None]


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
        self._codec = codec
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
        path = scope["path"]
        headers = dict(scope["headers"])
        try:
            if path not in _HEALTH:
                self._check_token(headers)
            if path in self._infer_paths and scope["method"] == "POST":
                await self._infer(headers, receive, send)
            else:
                await self._pages(scope, receive, send)
        except Refused as refused:
            await self._refuse(refused, send)

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
            if not query.answered.done():
                query.answered.set_result(None)

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        if self._token is None:
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            raise Refused(401, "the token is missing or wrong; send Authorization: Bearer TOKEN")

    async def _infer(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        came_ns = time.monotonic_ns()
        length, header_length = self._checked(headers)
        self.held_bytes += length
        try:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            # The connection hands over whole bodies: see sut.load.http_server.
            request = self._codec.read(message["body"], header_length)
            query = await self._run(request)
            took_ns = time.monotonic_ns() - came_ns
            if query.failed:
                self.statistics.failed(took_ns)
                raise Refused(500, self.refusal or "the engine failed")
            answer, json_bytes = self._codec.write(request, query.outputs())
            self.statistics.answered(query, time.monotonic_ns() - came_ns)
        finally:
            self.held_bytes -= length
        sized = (b"content-length", b"%d" % len(answer))
        shown = [_JSON, sized]
        if json_bytes is not None:
            shown = [_BINARY, sized, (_LENGTH_NAME, b"%d" % json_bytes)]
        self.statistics.responses[200] += 1
        await send({"type": "http.response.start", "status": 200, "headers": shown})
        await send({"type": "http.response.body", "body": answer})

    async def _run(self, request: Request) -> _Held:
        """Issue the samples of a request and wait for their answer."""
        assert self._loop is not None, "open comes first"
        samples, most = request.samples, self._limits.queue_samples
        if samples > most:
            raise Refused(413, f"a request of {samples} samples; at most {most} fit in the queue")
        if self.waiting + samples > most:
            raise self._busy(f"{self.waiting} samples wait; the queue takes {most}")
        query = _Held(request.arrays, samples, time.monotonic_ns())
        query.answered = self._loop.create_future()
        self.waiting += samples
        if not self._unissued:
            self._loop.call_soon(self._issue)
        self._unissued.append(query)
        # Even if this client goes away: what was issued is answered, and counted down then.
        await query.answered
        return query

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
        if self.held_bytes + length > limits.held_bytes:
            raise self._busy(f"requests of {self.held_bytes} bytes are in memory")
        given = headers.get(_LENGTH_NAME)
        if given is None:
            return length, None
        if not given.isdigit():
            raise bad(f"{HEADER_LENGTH} is no number of bytes")
        return length, int(given[:20])

    def _busy(self, text: str) -> Refused:
        seconds = math.ceil(self.waiting / max(1.0, self._limits.samples_per_s))
        return Refused(503, text, max(1, seconds))

    async def _refuse(self, refused: Refused, send: Send) -> None:
        body = msgspec.json.encode({"error": str(refused)})
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        if refused.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % refused.retry_after_s))
        self.statistics.responses[refused.status] += 1
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
