"""In which precision a model really ran: the share of its layers and of its FLOPs. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sut.models.operator_costs import Call, multiply_adds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.layers import Layer
    from sut.record.table import Row

AS_ALLOWED = "tf32 is allowed, and no library shows where it is used"
_HALF = 0.5


def shares(
    asked: str, facts: Mapping[str, str], layers: Sequence[Layer] | None, of_node: Mapping[str, int]
) -> tuple[str, dict[str, float]]:
    """Return in what a model ran, in words, and the shares of the precision that was asked for.

    Args:
        asked: the precision.
        facts: of the engine.
        layers: that ran; None: the library computes in the types of the tensors.
        of_node: multiply-adds by the name of the ONNX node.
    """
    if facts.get("simulated") == "True":
        return "", {}
    if layers is None:
        ran = facts.get("precision", "")
        if (ran, asked) == ("fp32", "tf32"):
            return AS_ALLOWED, {}
        share = float(ran == asked)
        return f"{ran}, by the types of its tensors", {"layers_share": share, "flops_share": share}
    if not layers:
        return "not known: its library shows no layers", {}
    counts = Counter(layer.precision for layer in layers)
    words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    if asked == "tf32" and set(counts) <= {"fp32", "tf32"}:
        return f"{words}; {AS_ALLOWED}", {}
    found = {"layers_share": counts[asked] / len(layers)}
    if (share_of := macs_by_precision(layers, of_node)) is not None:
        found["flops_share"] = share_of[asked] / share_of.total()
    return words, found


def macs_by_precision(layers: Sequence[Layer], of_node: Mapping[str, int]) -> Counter[str] | None:
    """Return the multiply-adds of layers by precision; None if those of one are not known.

    Args:
        layers: as the library tells them.
        of_node: multiply-adds by the name of the ONNX node, for a layer that names its nodes.
    """
    found: Counter[str] = Counter()
    for layer in layers:
        macs = sum(of_node.get(node, 0) for node in layer.nodes)
        if not macs and layer.outputs:
            try:
                macs = multiply_adds(Call(layer.op, layer.inputs, layer.outputs))
            except IndexError:  # a shape that the library did not tell
                macs = 0
        if not macs:
            return None
        found[layer.precision] += macs
    return found


def ran_in(row: Row) -> str:
    """Return the precision of most of a row's layers; the one asked for where nobody can tell."""
    asked = str(row.point["precision"])
    if row.figures.get("layers_share", 1.0) >= _HALF:
        return asked
    words = row.labels.get("ran in", "").replace(",", " ").split()
    return next((word for word in words if word != asked and not word.isdecimal()), asked)
