"""The socket of `sut serve`: uvicorn, with an end to its patience and to itself.

Knows no tensors. A client that is slow or silent is cut off; a signal lets the server answer what
it has accepted, and a second one ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sut.base.errors import ConfigError
from sut.base.signals import exit_code, noted, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from sut.load.http_door import Inference, Reply

LOOK_S = 0.25
_BACKLOG = 1024
_IDLE_S = 75  # of a connection between two requests
_MOST_CONNECTIONS = 1024
_LARGEST_PORT = 65535


class TimedProtocol(HttpToolsProtocol):
    """A connection whose client may keep the server waiting only for so long."""

    waits_since_s: float | None = None
    """Since when the client owes something, on the loop's clock; None: it owes nothing."""
    _inference: Inference | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self.waits_since_s = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.waits_since_s is None:
            self.waits_since_s = self.loop.time()
        super().data_received(data)

    def on_body(self, body: bytes) -> None:
        """See httptools. The door, which knows the length, has refused what is too long.

        Uvicorn's own pauses at every 64 KiB and wakes whoever waits for the body.
        """
        if not self.cycle.response_complete:
            self.cycle.body += body

    def on_message_complete(self) -> None:
        """See httptools: the request is here."""
        super().on_message_complete()
        self.waits_since_s = None
        inference, self._inference = self._inference, None
        if inference is not None:
            cycle = self.cycle
            body, cycle.body = cycle.body, bytearray()  # else it stays until the next request
            inference.whole(body, partial(self._reply, cycle))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._inference is not None:
            self._inference.gone()
            self._inference = None
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # also of one that was reset: it would hold all this
        if self.cycle is not None:
            self.cycle.on_response = _nothing

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin a request: one for inference without a task, where nothing is in its way."""
        begin = getattr(app, "begin", None)
        plain = cycle.more_body and not cycle.waiting_for_100_continue
        if begin is not None and plain and not self.flow.write_paused:
            self._inference = begin(cycle.scope)
            if self._inference is not None:
                return
        super()._start_asgi_task(cycle, app)

    def _reply(self, cycle: RequestResponseCycle, reply: Reply) -> None:
        """Write an answer, as uvicorn's own cycle does."""
        if cycle.disconnected:
            return
        head = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        self.transport.write(b"".join(head))
        self.transport.write(reply.body)
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        cycle.on_response = _nothing  # else request and connection hold each other

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client does not read its answer."""
        super().pause_writing()
        self.waits_since_s = self.loop.time()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self.waits_since_s = None


def _nothing() -> None:
    """What is left to do for an answered request."""


class PatientServer(uvicorn.Server):
    """Uvicorn's server with our signals and a look at its clients four times a second.

    Args:
        config: of uvicorn.
        patience_s: how long a client may owe a request or the reading of an answer.
        opened: called in the loop once it accepts requests.
        look: called at each look.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        patience_s: float,
        opened: Callable[[], None],
        look: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._patience_s = patience_s
        self._opened = opened
        self._look = look
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._watch())
        self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to listen, and answer what was accepted."""
        await super().shutdown(sockets)
        self._watching.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain at the first signal, end at the second; only a main thread hears of signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = noted(self._signalled)
        try:
            yield
        finally:
            restore(before)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self.should_exit = True
        if self._signals > 1:
            os.write(2, f"sut: ended by a second {signal.Signals(number).name}\n".encode())
            os._exit(exit_code(number))

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()
            latest_s = loop.time() - self._patience_s
            for connection in list(self.server_state.connections):
                assert isinstance(connection, TimedProtocol), "the only protocol here"
                since_s = connection.waits_since_s
                if since_s is not None and since_s < latest_s:
                    connection.transport.abort()


def server_config(application: Any) -> uvicorn.Config:
    """Return uvicorn's settings; nothing is logged but its own faults."""
    return uvicorn.Config(
        application,
        http=TimedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_IDLE_S,
    )


def bound(host: str, port: int, token: str | None) -> socket.socket:
    """Return a socket that is bound, and does not listen yet.

    Raises:
        ConfigError: nobody can bind it, or others could reach it without a token.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise ConfigError(f"--port {port}; expected 0 to {_LARGEST_PORT}. 0 is any that is free.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        if token is None and not ipaddress.ip_address(str(address[0])).is_loopback:
            raise ConfigError(
                f"--host {host}: other machines can reach it, so it needs --token. Clients send it "
                "as Authorization: Bearer TOKEN."
            )
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"--host {host} --port {port}: {getattr(error, 'strerror', None) or error}. Name "
            "another one; port 0 is any that is free."
        ) from error
    return sock
