"""An ONNX graph that grows from the nodes of a TensorFlow.js graph.

TensorFlow keeps an image as [N, H, W, C], ONNX as [N, C, H, W]. No value is transposed for that:
each is remembered with the order of its axes, and operators find their axes by that order. The
transposes that remain stand before a reshape, where the order of the numbers matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx import helper

from data.convert.tfjs_file import Array
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onnx import NodeProto

    from data.convert.tfjs_file import Node, TfjsModel


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the ONNX graph that stands for one of TensorFlow.

    Attributes:
        name: in the ONNX graph.
        order: axis i of TensorFlow's tensor is axis order[i] of this one.
    """

    name: str
    order: tuple[int, ...]


# What an operator gets and gives: a constant is known as an array until ONNX needs it.
Tensor: TypeAlias = Value | Array


class Graph:
    """Nodes, constants and inputs of an ONNX graph while it grows.

    Attributes:
        nodes: in an order in which they can run.
        constants: initializers by name.
        inputs: the shape of each input by its name; None is the batch axis.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, tuple[int | None, ...]] = {}
        self._transposed: set[str] = set()

    # An attribute is a number, a text or a list of them, as the operator says.
    def add(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Array) -> str:
        """Add an initializer; return its name."""
        self.constants[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def in_order(self, value: Value, order: tuple[int, ...]) -> str:
        """Return the name of `value` with its axes in `order`, transposed if they are not."""
        if value.order == order:
            return value.name
        name = f"{value.name}/as_{''.join(map(str, order))}"
        if name not in self._transposed:
            self._transposed.add(name)
            source = [value.order[order.index(axis)] for axis in range(len(order))]
            self.add("Transpose", name, [value.name], perm=source)
        return name

    def plain(self, value: Value) -> str:
        """Return the name of `value` with its axes in TensorFlow's order."""
        return self.in_order(value, tuple(range(len(value.order))))


Operator: TypeAlias = "Callable[[Graph, Node, Sequence[Tensor]], list[Tensor]]"


def grow(
    graph: Graph, model: TfjsModel, operators: Mapping[str, Operator], outputs: Sequence[str]
) -> list[Value]:
    """Add to `graph` what TensorFlow's tensors `outputs` need; return them.

    Args:
        graph: grows.
        model: where the tensors come from; each is named `node`, or `node:k` for output k.
        operators: by TensorFlow's names.
        outputs: names of tensors.

    Raises:
        DataError: no such node, an operator that is not in `operators`, or an output that depends
            on no input.
    """
    done: dict[str, list[Tensor]] = {}
    pending = [_node_of(name) for name in outputs]
    while pending:  # not a recursion: a graph is deeper than Python's stack
        node = model.nodes.get(pending[-1])
        if node is None:
            raise DataError(f"TensorFlow.js graph: there is no node {pending[-1]}.")
        missing = [name for name in map(_node_of, node.inputs) if name not in done]
        if missing:
            pending += missing
            continue
        pending.pop()
        if node.name not in done:
            inputs = [done[_node_of(name)][_output_of(name)] for name in node.inputs]
            done[node.name] = _translated(graph, model, node, operators, inputs)
    found = [done[_node_of(name)][_output_of(name)] for name in outputs]
    for name, value in zip(outputs, found, strict=True):
        if not isinstance(value, Value):
            raise DataError(f"TensorFlow.js graph: {name} is a constant; expected an output.")
    return [value for value in found if isinstance(value, Value)]


def _translated(
    graph: Graph,
    model: TfjsModel,
    node: Node,
    operators: Mapping[str, Operator],
    inputs: Sequence[Tensor],
) -> list[Tensor]:
    if node.op == "Const":
        return [model.constants[node.name]]
    if node.op not in operators:
        raise DataError(
            f"TensorFlow.js graph: {node.name} is a {node.op}; expected one of "
            f"{', '.join(sorted(operators))}."
        )
    return operators[node.op](graph, node, inputs)


def _node_of(tensor: str) -> str:
    return tensor.partition(":")[0]


def _output_of(tensor: str) -> int:
    return int(tensor.partition(":")[2] or 0)
