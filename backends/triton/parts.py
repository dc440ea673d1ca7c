"""What the requests of a client were made of: sums, which those of other connections are added to.

Source: perf_analyzer's docs, measurements_metrics.md. sut.record.client_parts makes means of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.triton.connection import Times
    from backends.triton.remote import Parts

_SERVER_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


class ClientParts:
    """Sums of the client's times. The thread that collects batches adds to them."""

    def __init__(self) -> None:
        self.count = 0
        self._send = self._wait = self._receive = 0

    def add(self, times: Times) -> None:
        """Count one request."""
        self.count += 1
        self._send += times.sent - times.started
        self._wait += times.answered - times.sent
        self._receive += times.received - times.answered

    def sums(self, before: Parts | None, after: Parts | None) -> dict[str, float]:
        """Return counts of requests, and sums of their parts in ns.

        Args:
            before: the server's counts when the first request was sent.
            after: when the last was answered; None: the server does not count.
        """
        found = {
            "client_requests": self.count,
            "client_send_ns": self._send,
            "client_wait_ns": self._wait,
            "client_receive_ns": self._receive,
        }
        if before is not None and after is not None:
            found["server_requests"] = after.success.count - before.success.count
            found |= {
                f"server_{name}_ns": getattr(after, name).ns - getattr(before, name).ns
                for name in _SERVER_PARTS
            }
        return {name: float(number) for name, number in found.items()}
