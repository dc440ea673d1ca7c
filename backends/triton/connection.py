"""One connection to a server: a request is sent, and its answer is read later.

Knows HTTP and the times of both; no tensors.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from sut.base.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

_SHOWN = 300  # characters of what a server says
_FINE = 200


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and how to talk to it.

    Attributes:
        url: http://HOST:PORT or https://HOST:PORT.
        token: sent as Authorization: Bearer; None: none.
        timeout_s: for each wait on the network.
    """

    url: SplitResult
    token: str | None
    timeout_s: float

    @classmethod
    def of(cls, url: str, token: str | None, timeout_s: float, where: str) -> Server:
        """Read a URL; without a scheme it is http.

        Raises:
            ConfigError: it is none.
        """
        found = urlsplit("")
        try:
            found = urlsplit(url if "://" in url else f"http://{url}")
            good = found.scheme in {"http", "https"} and found.hostname and found.path in {"", "/"}
            good = good and (found.port or 0) >= 0  # raises for what is no port
        except ValueError:
            good = False
        if not good:
            raise ConfigError(f'{where}: url is "{url}"; expected HOST:PORT, such as gpu1:8000.')
        return cls(found, token, timeout_s)

    @property
    def name(self) -> str:
        """The address, for messages."""
        return f"{self.url.scheme}://{self.url.netloc}"


@dataclass(slots=True)
class Times:
    """Of one request, in ns of time.monotonic_ns."""

    started: int = 0
    sent: int = 0
    answered: int = 0
    """The head of the answer had come."""
    received: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent."""

    body: bytes
    header_length: int | None


class Connection:
    """A connection that is kept open. One thread sends; the same or another one receives."""

    def __init__(self, server: Server, length_header: str) -> None:
        self._server = server
        self._length_header = length_header
        kind = (
            http.client.HTTPSConnection
            if server.url.scheme == "https"
            else http.client.HTTPConnection
        )
        host = server.url.hostname or ""
        self._link = kind(host, server.url.port or None, timeout=server.timeout_s)
        self._again: Callable[[], None] | None = None
        self.times = Times()
        """Of the latest request."""

    def send(
        self, path: str, pieces: Sequence[bytes | memoryview], headers: Mapping[str, str]
    ) -> None:
        """Send a POST request; `pieces` must not change before `receive`.

        Raises:
            EngineError: the server is not there, or does not take it.
        """
        length = sum(len(piece) for piece in pieces)
        all_headers = {**headers, **self._authorization(), "Content-Length": str(length)}

        def send() -> None:
            self._link.request("POST", path, iter(pieces), all_headers)

        is_kept = self._link.sock is not None
        self.times = Times(time.monotonic_ns())
        try:
            self._checked(send)
        except EngineError:
            if not is_kept:
                raise
            self._again_with(send)
            is_kept = False
        self.times.sent = time.monotonic_ns()
        self._again = send if is_kept else None

    def receive(self) -> Answer:
        """Wait for the answer to what was sent.

        Raises:
            EngineError: there is none in time, or it is an error.
        """
        try:
            response = self._checked(self._link.getresponse)
        except EngineError as error:
            # A server may close a connection that was idle, just when a request is under way.
            closed = isinstance(error.__cause__, ConnectionError | http.client.BadStatusLine)
            if self._again is None or not closed:
                raise
            self._again_with(self._again)
            response = self._checked(self._link.getresponse)
        self.times.answered = time.monotonic_ns()
        body = self._checked(response.read)
        self.times.received = time.monotonic_ns()
        if response.status != _FINE:
            raise EngineError(f"{self._server.name}: {response.status}: {said(body)}")
        length = response.getheader(self._length_header)
        return Answer(body, int(length) if length is not None and length.isdigit() else None)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a page.

        Raises:
            EngineError: the server is not there.
        """
        self._checked(lambda: self._link.request("GET", path, headers=self._authorization()))
        response = self._checked(self._link.getresponse)
        return response.status, self._checked(response.read)

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self._link.close()

    def _authorization(self) -> dict[str, str]:
        token = self._server.token
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def _again_with(self, send: Callable[[], None]) -> None:
        self._link.close()
        self._checked(send)

    def _checked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except TimeoutError as error:
            self._link.close()
            seconds = self._server.timeout_s
            raise EngineError(
                f"{self._server.name}: nothing came within {seconds:g} s, which timeout_s allows."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._link.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EngineError(
                f"{self._server.name}: {why}. Is the server running, and the option url right?"
            ) from error


def said(body: bytes) -> str:
    """Return what a server says in an error, in one line."""
    try:
        text = str(msgspec.json.decode(body)["error"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        text = body.decode("utf-8", "replace")
    return " ".join(text.split())[:_SHOWN]
