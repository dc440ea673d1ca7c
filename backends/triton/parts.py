"""What the requests of a client were made of, in perf_analyzer's words.

Means of many requests. Network and server is what is left of the client's time: a difference of
clocks' means, so it holds their error, too. Source: perf_analyzer's docs, measurements_metrics.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.triton.connection import Times
    from backends.triton.remote import Parts

_NS_PER_MS = 1e6
_SERVER_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


class ClientParts:
    """Sums of the client's times. The thread that collects batches adds to them."""

    def __init__(self) -> None:
        self.count = 0
        self._send = self._wait = self._receive = self._all = 0

    def add(self, times: Times) -> None:
        """Count one request."""
        self.count += 1
        self._send += times.sent - times.started
        self._wait += times.answered - times.sent
        self._receive += times.received - times.answered
        self._all += times.received - times.started

    def figures(self, before: Parts | None, after: Parts | None) -> dict[str, float]:
        """Return means in ms for each request.

        Args:
            before: the server's counts when the first request was sent.
            after: when the last was answered; None: the server does not count.
        """
        means = {
            "client_send_ms": self._send,
            "client_recv_ms": self._receive,
            "request_ms": self._all,
        }
        found = {name: ns / self.count / _NS_PER_MS for name, ns in means.items()}
        wait_ms = self._wait / self.count / _NS_PER_MS
        requests = after.success.count - before.success.count if before and after else 0
        if not (before and after and requests > 0):
            return {"requests": self.count, **found, "network_server_ms": wait_ms}
        on_server = {
            f"server_{name}_ms": (getattr(after, name).ns - getattr(before, name).ns)
            / requests
            / _NS_PER_MS
            for name in _SERVER_PARTS
        }
        left_ms = max(0.0, wait_ms - sum(on_server.values()))
        return {
            "requests": self.count,
            "server_requests": requests,
            **found,
            "network_server_ms": left_ms,
            **on_server,
        }
