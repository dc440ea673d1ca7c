"""What a client is told when its request is not answered, in one line."""

from __future__ import annotations

# What to do where JSON would keep the server from its other clients.
BINARY = "Use binary tensors (binary_data)."


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: the HTTP status.
        retry_after_s: when to come again, for 503; None: not at all like this.
    """

    def __init__(self, status: int, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


def bad(text: str) -> Refused:
    """Return the refusal of a malformed request."""
    return Refused(400, text)
