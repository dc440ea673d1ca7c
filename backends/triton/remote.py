"""What a server says of its model, checked against what the benchmark feeds.

Knows the protocol's pages; sends no inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec

from backends.base import TensorSpec
from backends.interface import fit_inputs, order_outputs
from backends.triton.connection import Connection, said
from sut.base.errors import BatchTooLarge, EngineError
from sut.base.kserve import HEADER_LENGTH, NUMPY_NAMES

if TYPE_CHECKING:
    from backends.base import EngineSpec
    from backends.triton.connection import Server

T = TypeVar("T")

_FINE, _UNKNOWN = 200, 404
# Backends of `sut serve` whose answers mean nothing.
_SIMULATED = frozenset({"null", "simulated"})


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(msgspec.Struct):
    name: str
    inputs: list[_Tensor]
    outputs: list[_Tensor]
    platform: str = ""
    versions: list[str] = msgspec.field(default_factory=list)


class _Server(msgspec.Struct):
    name: str
    version: str = "unknown"


class _Config(msgspec.Struct):
    max_batch_size: int = 0


class Duration(msgspec.Struct):
    """See Triton's docs, protocol/extension_statistics.md."""

    count: int = 0
    ns: int = 0


class Parts(msgspec.Struct):
    """What a server's requests were made of so far."""

    success: Duration = msgspec.field(default_factory=Duration)
    queue: Duration = msgspec.field(default_factory=Duration)
    compute_input: Duration = msgspec.field(default_factory=Duration)
    compute_infer: Duration = msgspec.field(default_factory=Duration)
    compute_output: Duration = msgspec.field(default_factory=Duration)


class _OfModel(msgspec.Struct):
    inference_stats: Parts
    inference_count: int = 0
    execution_count: int = 0


class _Statistics(msgspec.Struct):
    model_stats: list[_OfModel]


@dataclass(frozen=True, slots=True)
class Remote:
    """A model on a server.

    Attributes:
        path: of its pages.
        server: name and version of the server.
        version: of the server alone.
        platform: that runs the model, as the server says.
        inputs: in the benchmark's order.
        outputs: the wanted one first.
        max_batch_size: the server's largest batch; 0: it does not say.
    """

    path: str
    server: str
    version: str
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int

    @property
    def simulated(self) -> bool:
        """Whether it is `sut serve` with a backend that computes nothing."""
        return self.server.startswith("loadgen-sut ") and self.platform in _SIMULATED


def read_remote(server: Server, model: str, spec: EngineSpec) -> Remote:
    """Ask a server for its model.

    Raises:
        EngineError: the server or the model is not there, or it does not fit the benchmark.
        BatchTooLarge: the server takes smaller batches.
    """
    where = f"{server.name}, model {model}"
    path = f"/v2/models/{quote(model, safe='')}"
    link = Connection(server, HEADER_LENGTH)
    try:
        about = _page(link, "/v2", _Server, where)
        metadata = _page(link, path, _Metadata, where)
        config = _page(link, f"{path}/config", _Config, where, or_else=_Config())
    finally:
        link.close()
    declared = [_spec(tensor, where) for tensor in metadata.inputs]
    outputs = [_spec(tensor, where) for tensor in metadata.outputs]
    inputs = fit_inputs(declared, spec, where)
    if 0 < config.max_batch_size < spec.max_batch_size:
        raise BatchTooLarge(
            f"{where}: takes batches of up to {config.max_batch_size}, but max_batch_size is "
            f"{spec.max_batch_size}. Lower it, or raise it on the server."
        )
    ordered = order_outputs(outputs, spec.output_name, where)
    without_batch = tuple(
        TensorSpec(tensor.name, tensor.shape[1:], tensor.dtype) for tensor in ordered
    )
    return Remote(
        path=path,
        server=f"{about.name} {about.version}",
        version=about.version,
        platform=metadata.platform or "unknown",
        inputs=inputs,
        outputs=without_batch,
        max_batch_size=config.max_batch_size,
    )


def read_parts(link: Connection, remote: Remote, where: str) -> Parts | None:
    """Return what the server's requests were made of so far; None: it does not count them."""
    empty = _Statistics([])
    found = _page(link, f"{remote.path}/stats", _Statistics, where, or_else=empty).model_stats
    return found[0].inference_stats if found else None


def _page(link: Connection, path: str, kind: type[T], where: str, or_else: T | None = None) -> T:
    """Return a page; `or_else` where the server has none."""
    status, body = link.get(path)
    if status != _FINE and or_else is not None:
        return or_else
    if status != _FINE:
        raise EngineError(
            f"{where}: {path} gives {status}: {said(body)}. Check the options url and model."
        )
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise EngineError(
            f"{where}: {path} is no page of the Open Inference Protocol: {error}."
        ) from error


def _spec(tensor: _Tensor, where: str) -> TensorSpec:
    dtype = NUMPY_NAMES.get(tensor.datatype)
    if dtype is None:
        raise EngineError(
            f'{where}: tensor "{tensor.name}" is {tensor.datatype}; expected one of '
            f"{', '.join(NUMPY_NAMES)}."
        )
    shape = tuple(size if size >= 0 else None for size in tensor.shape)
    return TensorSpec(tensor.name, shape, dtype)
