"""What the requests to a remote server were made of: the client's times and the server's own.

In perf_analyzer's words, which split a request where Triton's statistics do. Only data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ClientParts(msgspec.Struct, frozen=True, kw_only=True):
    """Means over requests in ns, since warm-up. The parts that are known add up to the request.

    Attributes:
        requests: of this client.
        server_requests: that the server counted meanwhile, with those of other clients; None: it
            does not count, and neither are its parts known.
        request_ns: from the first byte sent until the answer is read.
        send_ns: until the request is sent.
        network_server_ns: what is left of the wait for the answer: a difference of means, so it
            holds their error, too.
        server_queue_ns: until a worker takes it.
        server_compute_input_ns: until its batch lies together.
        server_compute_infer_ns: until the engine has answered.
        server_compute_output_ns: until its outputs are apart.
        receive_ns: from the answer's first byte to its last.
    """

    requests: int
    server_requests: int | None = None
    request_ns: float
    send_ns: float
    network_server_ns: float
    server_queue_ns: float | None = None
    server_compute_input_ns: float | None = None
    server_compute_infer_ns: float | None = None
    server_compute_output_ns: float | None = None
    receive_ns: float

    def parts(self) -> Iterator[tuple[str, float]]:
        """Yield the parts that are known, in order: name without `_ns`, and mean in ns."""
        for name in _PARTS:
            ns = getattr(self, name)
            if ns is not None:
                yield name.removesuffix("_ns"), ns


_SERVER = (
    "server_queue_ns",
    "server_compute_input_ns",
    "server_compute_infer_ns",
    "server_compute_output_ns",
)
_PARTS = ("send_ns", "network_server_ns", *_SERVER, "receive_ns")


def client_parts(counts: Mapping[str, float]) -> ClientParts | None:
    """Return means of the sums of backends.triton.parts; None: no request was sent."""
    requests = counts.get("client_requests", 0)
    if not requests:
        return None
    send, wait, receive = (counts[f"client_{part}_ns"] for part in ("send", "wait", "receive"))
    counted = counts.get("server_requests", 0)
    of_server = {name: counts[name] / counted for name in _SERVER} if counted else {}
    return ClientParts(
        requests=int(requests),
        server_requests=int(counted) or None,
        request_ns=(send + wait + receive) / requests,
        send_ns=send / requests,
        network_server_ns=max(0.0, wait / requests - sum(of_server.values())),
        receive_ns=receive / requests,
        **of_server,
    )
