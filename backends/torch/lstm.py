"""ONNX's LSTM as torch's: one layer, forward, with weights that are constants.

torch's own module is needed, as cuDNN wants all weights of a layer in one piece of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import NodeProto

    from backends.base import Array

LSTM = "LSTM"
# Inputs of the node by place: https://onnx.ai/onnx/operators/onnx__LSTM.html.
_X, _W, _R, _B, _LENGTHS, _HIDDEN, _CELL, _PEEPHOLES = range(8)
# Attributes that may be there, with the only values that are computed here.
_KNOWN: Mapping[str, Sequence[object]] = {
    "direction": (b"forward",),
    "layout": (0,),
    "input_forget": (0,),
    "activations": ([b"Sigmoid", b"Tanh", b"Tanh"],),
}
# ONNX has the gates in the order input, output, forget, cell; torch: input, forget, cell, output.
_GATES = (0, 2, 3, 1)


class Lstm(nn.Module):  # type: ignore[misc]  # torch may be absent, then it has no types
    """One node.

    Attributes:
        fed: names of the values that it is called with: the steps, and its states or "".

    Args:
        node: of type LSTM.
        attributes: of the node.
        held: the constants of the graph.
        path: of the model, for messages.

    Raises:
        EngineError: it is more than one layer in the direction of time.
    """

    def __init__(
        self, node: NodeProto, attributes: Mapping[str, Any], held: Mapping[str, Array], path: str
    ) -> None:
        super().__init__()
        names = [*node.input, *[""] * (_PEEPHOLES + 1 - len(node.input))]
        other = {
            name: value
            for name, value in attributes.items()
            if name != "hidden_size" and value not in _KNOWN.get(name, ())
        }
        fixed = all(names[place] in held for place in (_W, _R)) and names[_B] in {"", *held}
        if other or not fixed or names[_LENGTHS] or names[_PEEPHOLES]:
            what = ", ".join(f"{name} {value}" for name, value in other.items())
            raise EngineError(
                f'{path}: node "{node.name}" of type LSTM is not one layer forward in time with '
                f"constant weights{what and f' ({what})'}; the torch backend runs no other. Export "
                "the model with torch.export (.pt2), or use another backend."
            )
        weights, recurrence = held[names[_W]][0], held[names[_R]][0]
        hidden = recurrence.shape[1]
        biases = held[names[_B]][0] if names[_B] else np.zeros(8 * hidden, weights.dtype)
        self.fed = [names[_X], names[_HIDDEN], names[_CELL]]
        self._layer = nn.LSTM(weights.shape[1], hidden, dtype=_type(weights))
        parts = (weights, recurrence, biases[: 4 * hidden], biases[4 * hidden :])
        with torch.no_grad():
            for parameter, part in zip(self._layer.parameters(), parts, strict=True):
                gates = np.split(part, 4)
                parameter.copy_(torch.from_numpy(np.concatenate([gates[k] for k in _GATES])))

    def forward(
        self, inputs: Sequence[torch.Tensor], _: Mapping[str, Any]
    ) -> tuple[torch.Tensor, ...]:
        """Return the values at all steps [T, 1, N, H], and both states after the last [1, N, H].

        Args:
            inputs: steps [T, N, I]; states [1, N, H] each, or None for zeros.
        """
        x, hidden, cell = inputs
        zeros = x.new_zeros((1, x.shape[1], self._layer.hidden_size))
        hidden, cell = (zeros if state is None else state for state in (hidden, cell))
        if torch.compiler.is_compiling():
            # Whole: the compiler takes minutes to unroll it, and gives no faster one than cuDNN's.
            values, hidden, cell = WHOLE(x, hidden, cell, list(self._layer.parameters()))
        else:
            values, (hidden, cell) = self._layer(x, (hidden, cell))
        return values.unsqueeze(1), hidden, cell


def _run_layer(
    x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor, weights: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    return tuple(torch.lstm(x, [hidden, cell], weights, True, 1, 0.0, False, False, False))


def _shapes(
    x: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor, _: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    values = x.new_empty((x.shape[0], x.shape[1], hidden.shape[2]))
    return values, torch.empty_like(hidden), torch.empty_like(cell)


_SCHEMA = "(Tensor x, Tensor hidden, Tensor cell, Tensor[] weights) -> (Tensor, Tensor, Tensor)"
# One layer, as an operator that the compiler does not look into.
WHOLE = torch.library.custom_op("sut::lstm", _run_layer, mutates_args=(), schema=_SCHEMA)
WHOLE.register_fake(_shapes)


def _type(array: Array) -> torch.dtype:
    return torch.from_numpy(np.zeros(0, array.dtype)).dtype
