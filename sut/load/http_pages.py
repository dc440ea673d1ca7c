"""The pages of a server beside inference: health, metadata, statistics, metrics, and refusals.

Knows what the door counts; no engine. Paths and bodies are those of the Open Inference Protocol and
of Triton's extensions (its docs/protocol), so that their clients work unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sut import __version__
from sut.base.kserve import PROTOCOL_NAMES, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from backends.base import TensorSpec
    from sut.load.http_door import Door

NAME = "loadgen-sut"
_EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")
_UNKNOWN = 404


@dataclass(frozen=True, slots=True)
class Served:
    """The model as its clients see it.

    Attributes:
        name: in every path.
        backend: that runs it.
        inputs: what it is fed.
        outputs: what it answers, before any postprocess.
        max_batch_size: of one batch, in samples; requests may be larger.
        max_queue_delay_us: how long a sample may wait for others; None: as long as it pays.
        devices: that it runs on.
    """

    name: str
    backend: str
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    max_batch_size: int
    max_queue_delay_us: int | None
    devices: Sequence[str]


class Pages:
    """Answers what is asked about one model."""

    def __init__(self, served: Served, door: Door) -> None:
        self._served = served
        self._door = door

    def application(self) -> Starlette:
        """Return the ASGI application."""
        model = "/v2/models/{model}"
        version = f"{model}/versions/{{version}}"
        routes = [
            Route("/v2", self._server),
            Route("/v2/health/live", _fine),
            Route("/v2/health/ready", self._ready),
            Route("/v2/models/stats", self._statistics),
            Route("/v2/repository/index", self._index, methods=["POST"]),
            Route("/metrics", self._metrics),
            *(Route(path, _unsupported, methods=["GET", "POST"]) for path in _UNSUPPORTED),
        ]
        for own in (model, version):
            routes += [
                Route(own, self._metadata),
                Route(f"{own}/ready", self._ready),
                Route(f"{own}/config", self._config),
                Route(f"{own}/stats", self._statistics),
                Route(f"{own}/infer", self._infer, methods=["POST"]),
            ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _error})
        application.router.redirect_slashes = False  # a path is right or wrong
        return application

    async def _server(self, request: Request) -> Response:
        return _json({"name": NAME, "version": __version__, "extensions": _EXTENSIONS})

    async def _ready(self, request: Request) -> Response:
        self._check(request)
        if self._door.refusal is not None:
            raise HTTPException(503, self._door.refusal)
        return Response()

    async def _metadata(self, request: Request) -> Response:
        self._check(request)
        served = self._served
        return _json(
            {
                "name": served.name,
                "versions": [VERSION],
                "platform": served.backend,
                "inputs": [_described(tensor) for tensor in served.inputs],
                "outputs": [_described(tensor) for tensor in served.outputs],
            }
        )

    async def _config(self, request: Request) -> Response:
        self._check(request)
        served = self._served
        delay_us = served.max_queue_delay_us
        batching = {} if delay_us is None else {"max_queue_delay_microseconds": delay_us}
        return _json(
            {
                "name": served.name,
                "platform": served.backend,
                "backend": served.backend,
                "max_batch_size": served.max_batch_size,
                "input": [_configured(tensor) for tensor in served.inputs],
                "output": [_configured(tensor) for tensor in served.outputs],
                "dynamic_batching": batching,
                "instance_group": [{"name": d, "count": 1} for d in served.devices],
            }
        )

    async def _statistics(self, request: Request) -> Response:
        self._check(request)
        return _json(self._door.statistics.triton())

    async def _index(self, request: Request) -> Response:
        state = "READY" if self._door.refusal is None else "UNAVAILABLE"
        return _json([{"name": self._served.name, "version": VERSION, "state": state}])

    async def _metrics(self, request: Request) -> Response:
        door = self._door
        text = door.statistics.prometheus(door.waiting, door.held_bytes)
        return PlainTextResponse(text)

    async def _infer(self, request: Request) -> Response:
        """Say why this is not the path of the model, which the door answers itself."""
        self._check(request)
        raise HTTPException(_UNKNOWN, "inference needs another path")

    def _check(self, request: Request) -> None:
        served = self._served.name
        model = request.path_params.get("model", served)
        if model != served:
            raise HTTPException(_UNKNOWN, f'there is no model "{model[:80]}"; this is {served}')
        version = request.path_params.get("version", VERSION)
        if version != VERSION:
            raise HTTPException(_UNKNOWN, f'there is no version "{version[:80]}"; it is {VERSION}')


_SHARED = ("systemsharedmemory", "cudasharedmemory")
_UNSUPPORTED = (
    *(f"/v2/{kind}/{{rest:path}}" for kind in _SHARED),
    "/v2/repository/models/{rest:path}",
    "/v2/trace/setting",
    "/v2/logging",
    "/v2/models/{model}/trace/setting",
    "/v2/models/{model}/generate",
    "/v2/models/{model}/generate_stream",
)


async def _fine(request: Request) -> Response:
    return Response()


async def _unsupported(request: Request) -> Response:
    raise HTTPException(400, f"this server does not support {request.url.path[:120]}")


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "what it is registered for"
    return _json({"error": error.detail}, error.status_code, error.headers)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status, headers, media_type="application/json")


def _described(tensor: TensorSpec) -> dict[str, object]:
    shape = [-1, *(size or -1 for size in tensor.shape)]
    return {"name": tensor.name, "datatype": PROTOCOL_NAMES[tensor.dtype], "shape": shape}


def _configured(tensor: TensorSpec) -> dict[str, object]:
    datatype = PROTOCOL_NAMES[tensor.dtype]
    dims = [size or -1 for size in tensor.shape]
    return {"name": tensor.name, "data_type": f"TYPE_{datatype}", "dims": dims}
