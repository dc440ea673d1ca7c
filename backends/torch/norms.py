"""Folds a batch normalisation into the convolution before it: two operators fewer, same answers.

A compiler of torch takes ten steps for each normalisation and folds them itself, for every batch
size again: half of the time in which a detector with 76 of them opens. Knows no torch.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto, helper

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping, Sequence

    from backends.base import Array

CONV, NORM = "Conv", "BatchNormalization"


def folded(
    nodes: Sequence[NodeProto], held: MutableMapping[str, Array], outputs: Collection[str]
) -> list[NodeProto]:
    """Return the nodes without the normalisations that a convolution can do.

    Args:
        nodes: of a graph, in order.
        held: its constants by name; those of the new convolutions are added.
        outputs: names of what the graph returns.
    """
    readers = Counter([*outputs, *(name for node in nodes for name in node.input)])
    makers = {node.output[0]: node for node in nodes if node.op_type == CONV}
    replaced: dict[str, NodeProto] = {}
    gone: set[str] = set()
    for norm in nodes:
        if norm.op_type != NORM:
            continue
        conv = makers.get(norm.input[0])
        if conv is None or readers[norm.input[0]] > 1 or not _is_constant(conv, norm, held):
            continue
        if any(a.name == "training_mode" and a.i for a in norm.attribute):
            continue  # of the batch's own statistics
        replaced[norm.output[0]] = _joined(conv, norm, held)
        gone.add(conv.output[0])
    return [replaced.get(node.output[0], node) for node in nodes if node.output[0] not in gone]


def _is_constant(conv: NodeProto, norm: NodeProto, held: Mapping[str, Array]) -> bool:
    names = [*conv.input[1:], *norm.input[1:]]
    return all(not name or name in held for name in names)


def _joined(conv: NodeProto, norm: NodeProto, held: MutableMapping[str, Array]) -> NodeProto:
    """Return the convolution that does both: (w x + b - mean) scale / sqrt(variance) + offset."""
    weight = held[conv.input[1]]
    named = [name for name in conv.input[2:] if name]
    bias = held[named[0]].astype(np.float64) if named else np.zeros(1)
    scale, offset, mean, variance = (held[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    names = [f"{norm.output[0]}/{what}" for what in ("weight", "bias")]
    channels = (-1, *[1] * (weight.ndim - 1))
    scaled = weight.astype(np.float64) * factor.reshape(channels)
    held[names[0]] = scaled.astype(weight.dtype)
    held[names[1]] = ((bias - mean) * factor + offset).astype(weight.dtype)
    joined = helper.make_node(CONV, [conv.input[0], *names], [norm.output[0]], name=conv.name)
    joined.attribute.extend(conv.attribute)
    return joined
