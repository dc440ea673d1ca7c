"""The Temporal Fusion Transformer written a second time, in NumPy, from the paper's equations.

Reads the weights of a model by their names, and shares no code with what wrote them. float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from data.convert.tft import Sizes

    Floats = NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    y: Floats = 1 / (1 + np.exp(-x))
    return y


def softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(-1, keepdims=True))
    y: Floats = e / e.sum(-1, keepdims=True)
    return y


@dataclass(frozen=True)
class Forecaster:
    """A model's weights, and what is computed with them."""

    w: Mapping[str, Any]
    sizes: Sizes

    def linear(self, x: Floats, name: str) -> Floats:
        y: Floats = x @ self.w[f"{name}.weight"] + self.w.get(f"{name}.bias", 0)
        return y

    def gate(self, x: Floats, name: str) -> Floats:
        value, opening = np.split(self.linear(x, f"{name}.both"), 2, -1)
        return value * sigmoid(opening)

    def norm(self, x: Floats, name: str) -> Floats:
        if f"{name}.scale" not in self.w:
            return x
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
        y: Floats = centred / spread * self.w[f"{name}.scale"] + self.w[f"{name}.bias"]
        return y

    def grn(self, x: Floats, name: str, context: Floats | None = None) -> Floats:
        first = self.linear(x, f"{name}.first")
        if context is not None:
            first = first + self.linear(context, f"{name}.context")
        elu = np.where(first > 0, first, np.expm1(np.minimum(first, 0)))
        gated = self.gate(self.linear(elu, f"{name}.second"), f"{name}.gate")
        skip = self.linear(x, f"{name}.skip") if f"{name}.skip.weight" in self.w else x
        return self.norm(gated + skip, name)

    def select(self, xs: Sequence[Floats], name: str, context: Floats | None = None) -> Floats:
        shares = softmax(self.grn(np.concatenate(xs, -1), f"{name}.scores", context))
        refined = [self.grn(x, f"{name}.{k}") for k, x in enumerate(xs)]
        return sum((shares[..., k, None] * refined[k] for k in range(len(xs))), start=np.zeros(()))

    def lstm(self, xs: Floats, name: str, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        into, again = self.w[f"{name}.input"][0], self.w[f"{name}.recurrence"][0]
        bias = self.w[f"{name}.bias"][0].reshape(2, -1).sum(0)
        values = []
        for t in range(xs.shape[1]):
            i, o, f, g = np.split(xs[:, t] @ into.T + h @ again.T + bias, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            values.append(h)
        return np.stack(values, 1), h, c

    def attention(self, x: Floats) -> Floats:
        width = self.sizes.width // self.sizes.heads
        joint = self.linear(x, "attention.in")
        values, total = joint[..., -width:], np.zeros((*x.shape[:2], width))
        for head in range(self.sizes.heads):
            q = joint[..., head * width : (head + 1) * width]
            k = joint[..., self.sizes.width + head * width :][..., :width]
            scores = q @ k.swapaxes(1, 2) / np.sqrt(width)
            future = np.triu(np.ones(scores.shape[1:], bool), 1)
            total += softmax(np.where(future, -np.inf, scores)) @ values
        return self.linear(total / self.sizes.heads, "attention")

    def variables(self, kind: str, inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        found = []
        for name in (f"{kind}_categorical", f"{kind}_continuous"):
            if name not in inputs:
                continue
            count = inputs[name].shape[-1]
            for k in range(count):
                key, column = name if count == 1 else f"{name}.{k}", inputs[name][..., k]
                if name.endswith("categorical"):
                    found.append(self.w[f"{key}.table"][column])
                else:
                    vector, offset = self.w[f"{key}.vector"], self.w[f"{key}.offset"]
                    found.append(column[..., None] * vector + offset)
        return found

    def forecast(self, inputs: Mapping[str, NDArray[Any]]) -> Floats:
        past_steps = self.sizes.past
        static = self.select(self.variables("static", inputs), "static")
        selection, enrichment, hidden, cell = (
            self.grn(static, f"context.{name}")
            for name in ("selection", "enrichment", "hidden", "cell")
        )
        known = self.variables("known", inputs)
        before = [*self.variables("observed", inputs), *(x[:, :past_steps] for x in known)]
        past = self.select(before, "past", selection[:, None])
        future = self.select([x[:, past_steps:] for x in known], "future", selection[:, None])
        encoded, h, c = self.lstm(past, "encoder", hidden, cell)
        decoded, _, _ = self.lstm(future, "decoder", h, c)
        steps = np.concatenate([encoded, decoded], 1)
        local = self.norm(
            self.gate(steps, "local.gate") + np.concatenate([past, future], 1), "local"
        )
        enriched = self.grn(local, "enriched", enrichment[:, None])
        attended = self.norm(
            self.gate(self.attention(enriched), "attended.gate") + enriched, "attended"
        )
        refined = self.gate(self.grn(attended, "refined"), "answer.gate")
        return self.linear(self.norm(refined + local, "answer"), "quantiles")[:, past_steps:]


def forecast(path: Path, sizes: Sizes, inputs: Mapping[str, NDArray[Any]]) -> Floats:
    """Return [N, future, quantiles] for a batch of each input."""
    weights = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer
    }
    wide = {k: w.astype(float) if w.dtype.kind == "f" else w for k, w in weights.items()}
    return Forecaster(wide, sizes).forecast(inputs)
