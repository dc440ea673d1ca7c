"""Layers of the Temporal Fusion Transformer with random weights: gates, and choice of variables.

After Lim et al., https://arxiv.org/abs/1912.09363, sections 4.1 and 4.2. A value is
[N, ..., width]; a context is [N, width], the same for every step in time. Knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.convert.network import Network

# Of layer normalization; the paper names none, this one is of NVIDIA's configuration.
EPSILON = 1e-3
_BIAS_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Gated:
    """Adds layers to a network; each method takes names of values and returns one.

    Attributes:
        net: grows.
        width: of hidden values.
    """

    net: Network
    width: int

    def linear(self, x: str, name: str, sizes: tuple[int, int], *, bias: bool = True) -> str:
        """Multiply by a matrix of `sizes`, and add a bias."""
        into, out = sizes
        weight = self.net.constant(f"{name}.weight", self.net.random(sizes) / np.sqrt(into))
        if not bias:
            return self.net.node("MatMul", name, [x, weight])
        product = self.net.node("MatMul", f"{name}.product", [x, weight])
        offset = self.net.constant(f"{name}.bias", self.net.random((out,)) * _BIAS_SPREAD)
        return self.net.node("Add", name, [product, offset])

    def gate(self, x: str, name: str, out: int | None = None) -> str:
        """Return a gated linear unit, equation 5: half of what is computed lets the rest pass."""
        out = out or self.width
        both = self.linear(x, f"{name}.both", (self.width, 2 * out))
        halves = [f"{name}.value", f"{name}.opening"]
        self.net.nodes("Split", halves, [both], axis=-1)
        passing = self.net.node("Sigmoid", f"{name}.passing", [halves[1]])
        return self.net.node("Mul", name, [halves[0], passing])

    def normalized_sum(self, x: str, y: str, name: str, width: int | None = None) -> str:
        """Add two values and normalize each of the sums; one of width 1 would become 0."""
        width = width or self.width
        if width == 1:
            return self.net.node("Add", name, [x, y])
        total = self.net.node("Add", f"{name}.sum", [x, y])
        scale = self.net.constant(f"{name}.scale", 1 + self.net.random((width,)) * _BIAS_SPREAD)
        bias = self.net.constant(f"{name}.bias", self.net.random((width,)) * _BIAS_SPREAD)
        inputs = [total, scale, bias]
        return self.net.node("LayerNormalization", name, inputs, axis=-1, epsilon=EPSILON)

    def residual(
        self, x: str, name: str, widths: tuple[int, int] | None = None, context: str = ""
    ) -> str:
        """Return a gated residual network, equations 2 to 4.

        Args:
            x: its input.
            name: of the result.
            widths: of input and result; None: both have the hidden width, and nothing is projected.
            context: what it depends on besides, at every step; empty: nothing.
        """
        net, into = self.net, widths[0] if widths else self.width
        first = self.linear(x, f"{name}.first", (into, self.width))
        if context:
            added = self.linear(context, f"{name}.context", (self.width, self.width), bias=False)
            axis = net.integers(f"{name}.time", 1)
            steady = net.node("Unsqueeze", f"{name}.steady", [added, axis])
            first = net.node("Add", f"{name}.given", [first, steady])
        # ELU, as Selu: the builder of TensorRT-RTX 1.7 fails at Elu.
        bent = net.node("Selu", f"{name}.bent", [first], alpha=1.0, gamma=1.0)
        second = self.linear(bent, f"{name}.second", (self.width, self.width))
        gated = self.gate(second, f"{name}.gate", widths and widths[1])
        if widths:
            x = self.linear(x, f"{name}.skip", widths)
        return self.normalized_sum(gated, x, name, widths and widths[1])

    def select(self, variables: Sequence[str], name: str, context: str = "") -> str:
        """Return the weighted sum of variables, equations 6 to 8; the weights depend on them all.

        Args:
            variables: each [N, ..., width].
            name: of the result, which is like one of them.
            context: the weights depend on it too; empty: on nothing else.
        """
        net, count = self.net, len(variables)
        flat = net.node("Concat", f"{name}.flat", variables, axis=-1)
        scores = self.residual(flat, f"{name}.scores", (count * self.width, count), context)
        shares = net.node("Softmax", f"{name}.shares", [scores], axis=-1)
        last, before = net.integers(f"{name}.last", -1), net.integers(f"{name}.before", -2)
        weights = net.node("Unsqueeze", f"{name}.weights", [shares, last])
        rows = []
        for k, variable in enumerate(variables):
            refined = self.residual(variable, f"{name}.{k}")
            rows.append(net.node("Unsqueeze", f"{name}.{k}.row", [refined, before]))
        stacked = net.node("Concat", f"{name}.rows", rows, axis=-2)
        weighted = net.node("Mul", f"{name}.weighted", [stacked, weights])
        return net.node("ReduceSum", name, [weighted, before], keepdims=0)
