"""The server of `sut serve` with an empty handler: what uvicorn alone can do.

`python -m tests.benchmarks.http_empty PORT`: it reads the body and answers with bytes of a fixed
length, as long as those of the null backend.
"""

from __future__ import annotations

import sys
from typing import Any

from sut.base.process import SWITCH_INTERVAL_S
from sut.load.http_server import PatientServer, bound, server_config

_BODY = b" " * 143


async def empty(scope: Any, receive: Any, send: Any) -> None:
    """Answer without looking at anything."""
    while (await receive())["more_body"]:
        pass
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % len(_BODY)),
        (b"inference-header-content-length", b"139"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})


def main() -> None:
    """Serve until a signal."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with bound("127.0.0.1", int(sys.argv[1]), None) as sock:
        server = PatientServer(server_config(empty), 30.0, _ready, _nothing)
        server.run([sock])


def _ready() -> None:
    print("ready", flush=True)


def _nothing() -> None:
    """Look at nothing."""


if __name__ == "__main__":
    main()
