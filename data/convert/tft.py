"""The Temporal Fusion Transformer with random weights, as ONNX: for speed, not for forecasts.

After Lim et al., https://arxiv.org/abs/1912.09363. The sizes of `ELECTRICITY`, and two places that
the paper leaves open (one LSTM layer for the past and one for the future; attention over all steps,
of which only those of the future are read), are of NVIDIA's public configuration for the data set
"electricity": NVIDIA/DeepLearningExamples, PyTorch/Forecasting/TFT/configuration.py.

Inputs, each only if the network has such variables; P steps of the past, F of the future:
`static_categorical` [N, n] int64, `static_continuous` [N, n],
`known_categorical` [N, P + F, n] int64, `known_continuous` [N, P + F, n],
`observed_categorical` [N, P, n] int64, `observed_continuous` [N, P, n], the target among them.
Output: `quantiles` [N, F, quantiles].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.convert.gated import Gated
from data.convert.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ValueInfoProto

VERSION = "1"  # raise it whenever the same seed becomes another file

STATIC, KNOWN, OBSERVED = "static", "known", "observed"
# Far below all scores, so that softmax leaves less of it than float32 can add to 1. No farther: the
# int8 scale of what it is added to would have no step left for the scores.
_NEVER = -60.0
_CONTEXTS = ("selection", "enrichment", "hidden", "cell")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a network is like.

    Attributes:
        width: of hidden values.
        heads: of the attention; a divisor of the width.
        past: steps that are observed.
        future: steps to forecast.
        categorical: for each kind of input, how many values each categorical variable has.
        continuous: for each kind of input, how many variables.
        quantiles: of each forecast.
    """

    width: int
    heads: int
    past: int
    future: int
    categorical: dict[str, tuple[int, ...]]
    continuous: dict[str, int]
    quantiles: int = 3


# A week of hours, and the next day. Known are hour, day of the week and hours from the start;
# observed is the consumption.
ELECTRICITY = Sizes(
    width=128,
    heads=4,
    past=168,
    future=24,
    categorical={STATIC: (369,)},
    continuous={KNOWN: 3, OBSERVED: 1},
)


def make(target: Path, seed: int, dtype: str) -> None:
    """Write the network of the electricity data set; the same bytes for a seed."""
    write(target, seed, dtype, ELECTRICITY)


def write(target: Path, seed: int, dtype: str, sizes: Sizes) -> None:
    """Write a network; weights, continuous inputs and the output are of `dtype`."""
    net = Network(seed, dtype)
    inputs: list[ValueInfoProto] = []
    network = _Tft(net, Gated(net, sizes.width), sizes)
    variables = {kind: network.variables(kind, inputs) for kind in (STATIC, KNOWN, OBSERVED)}
    network.forecast(variables)
    output = net.value("quantiles", (sizes.future, sizes.quantiles))
    net.write(target, "tft_random", inputs, [output])


@dataclass(frozen=True, slots=True)
class _Tft:
    """The network's parts, each from names to names."""

    net: Network
    add: Gated
    sizes: Sizes

    def variables(self, kind: str, inputs: list[ValueInfoProto]) -> list[str]:
        """Embed all variables of a kind, each [N, steps, width] or [N, width]; list its inputs."""
        steps = {STATIC: (), OBSERVED: (self.sizes.past,)}.get(
            kind, (self.sizes.past + self.sizes.future,)
        )
        found = []
        cardinalities = self.sizes.categorical.get(kind, ())
        if cardinalities:
            name = f"{kind}_categorical"
            inputs.append(self.net.value(name, (*steps, len(cardinalities)), "int64"))
            columns = self._columns(name, len(cardinalities))
            found += [self._looked_up(*pair) for pair in zip(columns, cardinalities, strict=True)]
        if count := self.sizes.continuous.get(kind, 0):
            name = f"{kind}_continuous"
            inputs.append(self.net.value(name, (*steps, count)))
            found += [self._scaled(column) for column in self._columns(name, count)]
        return found

    def _columns(self, name: str, count: int) -> list[str]:
        """Split the last axis into single variables, [..., 1] each."""
        if count == 1:
            return [name]
        columns = [f"{name}.{k}" for k in range(count)]
        self.net.nodes("Split", columns, [name], axis=-1)
        return columns

    def _looked_up(self, column: str, cardinality: int) -> str:
        table = self.net.random((cardinality, self.sizes.width))
        table_name = self.net.constant(f"{column}.table", table)
        axis = self.net.integers(f"{column}.axis", -1)
        indices = self.net.node("Squeeze", f"{column}.indices", [column, axis])
        return self.net.node("Gather", f"{column}.embedded", [table_name, indices], axis=0)

    def _scaled(self, column: str) -> str:
        net, width = self.net, self.sizes.width
        vector = net.constant(f"{column}.vector", net.random((width,)))
        offset = net.constant(f"{column}.offset", net.random((width,)))
        scaled = net.node("Mul", f"{column}.scaled", [column, vector])
        return net.node("Add", f"{column}.embedded", [scaled, offset])

    def forecast(self, variables: dict[str, list[str]]) -> None:
        """Add all between the embedded variables and the output."""
        add, net = self.add, self.net
        static = add.select(variables[STATIC], "static")
        contexts = {name: add.residual(static, f"context.{name}") for name in _CONTEXTS}
        known = [self._in_two(name) for name in variables[KNOWN]]
        past = add.select(
            [*variables[OBSERVED], *(before for before, _ in known)], "past", contexts["selection"]
        )
        future = add.select([after for _, after in known], "future", contexts["selection"])
        states = [self._state(contexts["hidden"]), self._state(contexts["cell"])]
        encoded, states = self._lstm(past, "encoder", states)
        decoded, _ = self._lstm(future, "decoder", states)
        steps = net.node("Concat", "steps", [encoded, decoded], axis=1)
        entered = net.node("Concat", "entered", [past, future], axis=1)
        local = add.normalized_sum(add.gate(steps, "local.gate"), entered, "local")
        enriched = add.residual(local, "enriched", context=contexts["enrichment"])
        attended = self._later(self._attention(enriched))
        gated = add.gate(attended, "attended.gate")
        attended = add.normalized_sum(gated, self._later(enriched), "attended")
        refined = add.gate(add.residual(attended, "refined"), "answer.gate")
        answer = add.normalized_sum(refined, self._later(local), "answer")
        add.linear(answer, "quantiles", (self.sizes.width, self.sizes.quantiles))

    def _in_two(self, name: str) -> tuple[str, str]:
        """Split a variable at the present."""
        sizes = self.net.integers(f"{name}.steps", self.sizes.past, self.sizes.future)
        before, after = f"{name}.past", f"{name}.future"
        self.net.nodes("Split", [before, after], [name, sizes], axis=1)
        return before, after

    def _later(self, name: str) -> str:
        """Keep the steps of the future."""
        net, steps = self.net, self.sizes.past + self.sizes.future
        bounds = [
            net.integers(f"{name}.{bound}", value)
            for bound, value in (("from", self.sizes.past), ("to", steps), ("axis", 1))
        ]
        return net.node("Slice", f"{name}.later", [name, *bounds])

    def _state(self, context: str) -> str:
        axis = self.net.integers(f"{context}.axis", 0)
        return self.net.node("Unsqueeze", f"{context}.state", [context, axis])

    def _lstm(self, x: str, name: str, states: list[str]) -> tuple[str, list[str]]:
        """Return an LSTM's values at all steps, and its two states after the last."""
        net, width = self.net, self.sizes.width
        scale = np.sqrt(width)
        weights = [
            net.constant(f"{name}.{part}", net.random((1, 4 * width, width)) / scale)
            for part in ("input", "recurrence")
        ]
        biases = net.constant(f"{name}.bias", net.random((1, 8 * width)) / scale)
        by_step = net.node("Transpose", f"{name}.by_step", [x], perm=[1, 0, 2])
        after = [f"{name}.hidden", f"{name}.cell"]
        net.nodes(
            "LSTM",
            [f"{name}.values", *after],
            [by_step, *weights, biases, "", *states],
            hidden_size=width,
        )
        direction = net.integers(f"{name}.direction", 1)
        one = net.node("Squeeze", f"{name}.one", [f"{name}.values", direction])
        return net.node("Transpose", name, [one], perm=[1, 0, 2]), after

    def _attention(self, x: str) -> str:
        """Return interpretable multi-head attention, equations 13 to 16; heads share the values."""
        net, heads = self.net, self.sizes.heads
        width, steps = self.sizes.width // heads, self.sizes.past + self.sizes.future
        wide = heads * width
        joint = self.add.linear(x, "attention.in", (self.sizes.width, 2 * wide + width), bias=False)
        parts = ["attention.queries", "attention.keys", "attention.values"]
        net.nodes(
            "Split", parts, [joint, net.integers("attention.sizes", wide, wide, width)], axis=-1
        )
        shape = net.integers("attention.shape", 0, steps, heads, width)
        queries, keys = (
            net.node("Reshape", f"{part}.by_head", [part, shape]) for part in parts[:2]
        )
        queries = net.node("Transpose", "attention.rows", [queries], perm=[0, 2, 1, 3])
        keys = net.node("Transpose", "attention.columns", [keys], perm=[0, 2, 3, 1])
        scores = net.node("MatMul", "attention.products", [queries, keys])
        scale = net.constant("attention.scale", np.array(width**-0.5))
        scores = net.node("Mul", "attention.scores", [scores, scale])
        # A step sees itself and those before it.
        mask = net.constant(
            "attention.mask", np.triu(np.full((steps, steps), _NEVER), 1)[None, None]
        )
        masked = net.node("Add", "attention.masked", [scores, mask])
        shares = net.node("Softmax", "attention.shares", [masked], axis=-1)
        values = net.node(
            "Unsqueeze", "attention.shared", [parts[2], net.integers("attention.head", 1)]
        )
        seen = net.node("MatMul", "attention.seen", [shares, values])
        mean = net.node("ReduceMean", "attention.mean", [seen], axes=[1], keepdims=0)
        return self.add.linear(mean, "attention", (width, self.sizes.width), bias=False)
