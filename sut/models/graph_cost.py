"""FLOPs and bytes of an ONNX graph for a batch size, by onnx's own shape inference.

Reads the graph alone: neither an engine nor a device. docs/devices.md says what is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import TYPE_CHECKING

from sut.base.errors import EngineError
from sut.models.operator_costs import (
    ELEMENTWISE,
    FREE,
    Call,
    is_counted,
    multiply_adds,
    other_operations,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

    from sut.models.operator_costs import Shape

# Shape inference reads values of small tensors, such as the target of a Reshape, and of no others.
_SMALL = 1_024


@dataclass(frozen=True, slots=True)
class GraphCost:
    """What a batch costs, by the graph alone.

    Attributes:
        batch: samples.
        macs: multiply-adds of convolutions, matrix products and recurrent layers.
        other_operations: of all other operators.
        weight_bytes: of the weights, read once a batch.
        bytes: moved to and from the device's memory, where elementwise operators work on what the
            operator before leaves in its registers.
        unfused_bytes: where every operator reads its inputs and writes its outputs.
        launches: operators that are left after such fusions.
        macs_by_operator: `macs`, by type.
        macs_by_node: `macs`, by the name of the node.
        uncounted: operators that are not counted, by type: `macs` and `bytes` are too low by them.
    """

    batch: int
    macs: int
    other_operations: int
    weight_bytes: int
    bytes: int
    unfused_bytes: int
    launches: int
    macs_by_operator: Mapping[str, int]
    macs_by_node: Mapping[str, int] = field(default_factory=dict)
    uncounted: Mapping[str, int] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Operations: a multiply-add is two."""
        return 2 * self.macs + self.other_operations

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.flops / max(self.bytes, 1)


def cost_of(path: Path, batch: int, inside: int | None = None) -> GraphCost:
    """Return what a batch of the model at `path` costs; weights need not lie beside it.

    Args:
        path: of the file.
        batch: samples.
        inside: bytes of a float32 number within the graph, where an engine narrows them when it
            opens; the graph's own inputs and outputs stay. None: as in the file.

    Raises:
        EngineError: the file is no ONNX model, or its shapes contradict each other.
    """
    import onnx  # noqa: PLC0415 - slow to import

    try:
        return graph_cost(onnx.load(str(path), load_external_data=False), batch, inside)
    except (EngineError, OSError):
        raise
    except Exception as error:  # protobuf and onnx share no other base
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise EngineError(f"{path}: its FLOPs cannot be counted: {reason}") from error


def graph_cost(model: ModelProto, batch: int, inside: int | None = None) -> GraphCost:
    """Return what a batch of a model costs; see `cost_of`. The model is changed.

    Raises:
        onnx.shape_inference.InferenceError: shapes contradict each other.
    """
    from onnx import shape_inference  # noqa: PLC0415 - slow to import

    _strip(model.graph)
    _sort(model.graph)
    _set_batch(model.graph, batch)
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    return _Counting(inferred, batch, inside).total()


def _strip(graph: GraphProto) -> None:
    """Drop the content of weights, which shape inference would copy."""
    for tensor in graph.initializer:
        if prod(tensor.dims) > _SMALL:
            for content in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
                tensor.ClearField(content)


def _sort(graph: GraphProto) -> None:
    """Put every node behind those that it reads from, as shape inference wants it.

    ONNX asks for that order too, but the converter to fp16 appends the casts of the inputs.
    """
    makers = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    waits = {k: {makers[n] for n in v.input if n in makers} for k, v in enumerate(graph.node)}
    try:
        order = list(TopologicalSorter(waits).static_order())
    except CycleError as error:
        raise EngineError("its nodes wait for each other in a circle") from error
    if any(k < max(waits[k], default=-1) for k in waits):
        nodes = [type(node).FromString(node.SerializeToString()) for node in graph.node]
        del graph.node[:]
        graph.node.extend(nodes[k] for k in order)


def _set_batch(graph: GraphProto, batch: int) -> None:
    """Give the first axis of every input a size, and forget sizes that were derived without it."""
    weights = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        shape = value.type.tensor_type.shape
        if value.name not in weights and shape.dim and not shape.dim[0].dim_value:
            shape.dim[0].dim_value = batch
    del graph.value_info[:]
    for value in graph.output:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].ClearField("dim_param")


class _Counting:
    """One walk over the nodes of a graph whose shapes were inferred."""

    def __init__(self, graph: GraphProto, batch: int, inside: int | None) -> None:
        self._graph = graph
        self._batch, self._inside = batch, inside
        self._shapes: dict[str, Shape] = {}
        self._bytes: dict[str, int] = {}
        self._constants = {tensor.name for tensor in graph.initializer}
        self._learn()
        self._uncounted: Counter[str] = Counter()
        self._macs: Counter[str] = Counter()
        self._other = 0

    def total(self) -> GraphCost:
        """Walk over the nodes."""
        counted = [node for node in self._graph.node if self._is_work(node)]
        nodes: dict[str, int] = {}
        for node in counted:
            call = self._call(node)
            if macs := multiply_adds(call):
                self._macs[node.op_type] += macs
                nodes[node.name] = macs
            self._other += other_operations(call)
        unfused = sum(self._traffic(node) for node in counted)
        kernels = self._kernels(counted)
        read = {name for node in counted for name in node.input}
        return GraphCost(
            batch=self._batch,
            macs=self._macs.total(),
            other_operations=self._other,
            weight_bytes=sum(self._bytes.get(name, 0) for name in read & self._constants),
            bytes=self._moved(kernels),
            unfused_bytes=unfused,
            launches=len(kernels),
            macs_by_operator=dict(self._macs),
            macs_by_node=nodes,
            uncounted=dict(self._uncounted),
        )

    def _learn(self) -> None:
        """Take all shapes, and the size of each tensor in memory."""
        from onnx import TensorProto, helper  # noqa: PLC0415 - slow to import

        def width(kind: int) -> int:
            return helper.tensor_dtype_to_np_dtype(kind).itemsize

        def width_inside(kind: int) -> int:
            if kind == TensorProto.FLOAT and self._inside is not None:
                return self._inside
            return width(kind)

        graph = self._graph
        for tensor in graph.initializer:
            self._shapes[tensor.name] = tuple(tensor.dims)
            self._bytes[tensor.name] = prod(tensor.dims) * width_inside(tensor.data_type)
        ends = {value.name for value in (*graph.input, *graph.output)}
        for value in (*graph.input, *graph.value_info, *graph.output):
            shape = _known_shape(value)
            if shape is not None and value.name not in self._shapes:
                kind = value.type.tensor_type.elem_type
                each = width(kind) if value.name in ends else width_inside(kind)
                self._shapes[value.name] = shape
                self._bytes[value.name] = prod(shape) * each

    def _is_work(self, node: NodeProto) -> bool:
        """Return whether a node runs for each batch and can be counted; note one that cannot."""
        if node.op_type == "DequantizeLinear":  # its reader reads the quantized values
            self._bytes[node.output[0]] = self._bytes.get(node.input[0], 0)
        if all(not name or name in self._constants for name in node.input):
            self._constants.update(node.output)  # it is folded when the model is loaded
            return False
        if node.op_type in FREE:
            return False
        named = [name for name in (*node.input, *node.output) if name]
        if is_counted(node.op_type) and all(name in self._shapes for name in named):
            return True
        self._uncounted[node.op_type] += 1
        return False

    def _call(self, node: NodeProto) -> Call:
        from onnx import helper  # noqa: PLC0415 - slow to import

        simple = [a for a in node.attribute if not (a.HasField("g") or a.HasField("t"))]
        values = {a.name: helper.get_attribute_value(a) for a in simple}
        return Call(
            op=node.op_type,
            inputs=[self._shapes.get(name, ()) for name in node.input],
            outputs=[self._shapes.get(name, ()) for name in node.output],
            attributes={k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()},
        )

    def _traffic(self, node: NodeProto) -> int:
        """Return the bytes that a node reads and writes; one that it reads twice counts once."""
        return sum(self._bytes[name] for name in {*node.input, *node.output} if name)

    def _kernels(self, counted: list[NodeProto]) -> list[list[NodeProto]]:
        """Return the nodes that run together, as a library that fuses well would group them.

        An elementwise operator joins the one that makes its input, if only elementwise operators
        read that: an activation, or SiLU, whose input goes to a sigmoid and a product. Of several
        inputs it joins the last one that is made, as the others are there by then.
        """
        makers = {name: k for k, node in enumerate(counted) for name in node.output}
        others = {
            name for node in self._graph.node if node.op_type not in ELEMENTWISE
            for name in node.input
        }  # fmt: skip
        kernel: list[int] = []
        for k, node in enumerate(counted):
            taken = [makers[name] for name in node.input if name in makers and name not in others]
            joins = node.op_type in ELEMENTWISE and taken
            kernel.append(kernel[max(taken)] if joins else k)
        groups: dict[int, list[NodeProto]] = {}
        for node, number in zip(counted, kernel, strict=True):
            groups.setdefault(number, []).append(node)
        return list(groups.values())

    def _moved(self, kernels: list[list[NodeProto]]) -> int:
        """Return the bytes that kernels read and write: what only they read stays with them."""
        readers = Counter(name for node in self._graph.node for name in set(node.input))
        kept = {value.name for value in self._graph.output}
        total = 0
        for kernel in kernels:
            own = Counter(name for node in kernel for name in set(node.input))
            made = {name for node in kernel for name in node.output}
            written = {n for n in made if n in kept or readers[n] > own[n]}
            total += sum(self._bytes[name] for name in (own.keys() - made) | written if name)
        return total


def _known_shape(value: ValueInfoProto) -> Shape | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else None
