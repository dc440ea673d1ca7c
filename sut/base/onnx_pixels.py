"""Writes the normalisation of 8-bit pixels into an ONNX model as its first nodes, and takes it out.

The nodes compute what preprocessing would: float32, in the same order, so that no bit differs.
Knows no benchmark and no inference library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

# Names of nodes and tensors that this module makes begin with it.
OWN = "sut.pixels/"


class Normalizing(NamedTuple):
    """(x - mean) / std of the pixels of an input.

    Attributes:
        name: of the input.
        mean: float32, of a shape that broadcasts to a sample.
        std: likewise.
    """

    name: str
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def of(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return what the nodes compute."""
        return (pixels.astype(np.float32) - self.mean) / self.std


def attach(model: ModelProto, normalizing: Normalizing) -> None:
    """Let a model take uint8 where it took float32 or float16, and normalise it.

    Raises:
        DataError: it has no such input, or another type of it.
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - slow to import

    graph = model.graph
    value = _input(graph, normalizing.name)
    taken = value.type.tensor_type.elem_type
    if taken not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise DataError(
            f'input "{value.name}" is {TensorProto.DataType.Name(taken)}; expected FLOAT or '
            "FLOAT16, which pixels are normalised to. Leave --pixels, or input.normalize, out."
        )
    nodes = [helper.make_node("Cast", [value.name], [], to=TensorProto.FLOAT)]
    steps = (("Sub", normalizing.mean, 0), ("Div", normalizing.std, 1))
    for operator, numbers, neutral in steps:
        if (numbers != neutral).any():
            constant = f"{OWN}{operator}"
            graph.initializer.append(numpy_helper.from_array(numbers, constant))
            nodes.append(helper.make_node(operator, ["", constant], []))
    if taken != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [""], [], to=taken))
    tensor = value.name
    _rename(graph, tensor, f"{OWN}{len(nodes) - 1}")
    for number, node in enumerate(nodes):
        node.name = f"{OWN}{number}"
        node.input[0], tensor = tensor, node.name
        node.output.append(tensor)
        graph.node.insert(number, node)
    value.type.tensor_type.elem_type = TensorProto.UINT8


def detach(model: ModelProto) -> Normalizing | None:
    """Undo `attach`; return what the nodes computed, or None if the model has none."""
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415 - slow to import

    graph = model.graph
    nodes = [node for node in graph.node if node.name.startswith(OWN)]
    if not nodes:
        return None
    name = nodes[0].input[0]
    constants = [tensor for tensor in graph.initializer if tensor.name.startswith(OWN)]
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in constants}
    is_half = nodes[-1].op_type == "Cast" and len(nodes) > 1
    for node in nodes:
        graph.node.remove(node)
    for tensor in constants:
        graph.initializer.remove(tensor)
    _rename(graph, nodes[-1].output[0], name)
    _input(graph, name).type.tensor_type.elem_type = (
        TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
    )
    mean = numbers.get(f"{OWN}Sub", np.zeros((), np.float32))
    return Normalizing(name, mean, numbers.get(f"{OWN}Div", np.ones((), np.float32)))


def _input(graph: GraphProto, name: str) -> ValueInfoProto:
    values: dict[str, ValueInfoProto] = {value.name: value for value in graph.input}
    if name in values:
        return values[name]
    raise DataError(f'has no input "{name}"; expected one of {", ".join(values)}.')


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Let every node that reads one tensor read another."""
    for node in _nodes(graph.node):
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):  # branches and loops
                yield from _nodes(graph.node)
