"""The layers that a library really runs, as it says itself: by kind, precision and shapes.

An engine may compute in another precision than the graph it was given, without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import EngineSpec

# Backends whose library tells, and the module with its `executed_layers`. The others compute in the
# types of the graph's tensors.
_TELLING: Mapping[str, str] = {
    "onnxruntime": "backends.onnxruntime.layers",
    "tensorrt": "backends.tensorrt.layers",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that multiplies matrices.

    Attributes:
        name: as the library calls it.
        op: its kind, as the library calls it: "Conv", "QLinearConv".
        precision: of what it multiplies, such as "int8".
        inputs: shapes, as far as the library tells them; empty for a scalar, or if it does not.
        outputs: likewise.
        nodes: names of the ONNX nodes in it, where the library tells them.
    """

    name: str
    op: str
    precision: str
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()
    nodes: tuple[str, ...] = ()


class ExecutedLayers(Protocol):
    """`executed_layers` of a backend."""

    def __call__(self, spec: EngineSpec, batch: int) -> Sequence[Layer]:
        """Return the layers that multiply matrices; empty if the library does not show them."""


def executed_layers(spec: EngineSpec, batch: int) -> Sequence[Layer] | None:
    """Return the layers of an engine that `spec` opens; None: its backend cannot tell.

    The model is loaded a second time. A batch may run, with profiling on.

    Args:
        spec: of the engine.
        batch: samples.

    Raises:
        EngineError: it cannot be loaded.
    """
    module = _TELLING.get(spec.backend)
    if module is None:
        return None
    ask: ExecutedLayers = import_module(module).executed_layers
    return ask(spec, batch)
