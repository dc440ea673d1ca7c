"""An ONNX file as a torch module; `operators`, `image_operators`, `lstm`: what its nodes compute.

Knows no device, precision or batch.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from backends.base import TensorSpec
from backends.torch.image_operators import NEUTRAL
from backends.torch.lstm import LSTM, Lstm
from backends.torch.norms import folded
from backends.torch.operators import FIXED, NUMBERS, OPERATORS
from sut.base.errors import EngineError
from sut.base.onnx_pixels import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array
    from backends.torch.image_operators import Attributes, Operator

CONSTANT, SPLIT = "Constant", "Split"


class OnnxModule(nn.Module):  # type: ignore[misc]  # torch may be absent, then it has no types
    """The graph of an ONNX model.

    Attributes:
        declared_inputs: batch axis first; None for an open one.
        declared_outputs: in the order in which `forward` returns them.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        model = _load(path)
        graph = model.graph
        held = _constants(graph)
        inputs = [value for value in graph.input if value.name not in held]
        self.declared_inputs = [_tensor(value) for value in inputs]
        self.declared_outputs = [_tensor(value) for value in graph.output]
        self._inputs = [value.name for value in inputs]
        self._outputs = [value.name for value in graph.output]
        nodes = folded(_in_order(graph, {*self._inputs, *held}, path), held, self._outputs)
        self._steps = [_Step(node, held, path) for node in nodes]
        self._drop_unread()
        # Found by torch, which moves and converts what they hold.
        lstms = (step.run for step in self._steps if isinstance(step.run, Lstm))
        self._lstms = nn.ModuleList(lstms)
        self._names = {}
        read = {*self._outputs, *(name for step in self._steps for name in step.inputs)}
        for number, name in enumerate(name for name in held if name in read):
            self._names[name] = f"constant_{number}"  # ONNX names may have dots, torch's may not
            self.register_buffer(self._names[name], torch.from_numpy(np.array(held[name])))

    def _drop_unread(self) -> None:
        """Tell each step which values nobody reads after it: they would take all the memory."""
        kept = {*self._outputs, ""}
        for step in reversed(self._steps):
            named = {*step.inputs, *step.outputs}
            step.last_of = sorted(named - kept)
            kept |= named

    def take(self, names: Sequence[str]) -> None:
        """Take the inputs in the order of these names, all of them, from now on."""
        self._inputs = list(names)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute in another floating type; pixels are normalised in float32 all the same."""
        own = {name: getattr(self, held) for name, held in self._names.items() if OWN in name}
        self.to(dtype)
        for name, tensor in own.items():
            setattr(self, self._names[name], tensor)
        steps = [step for step in self._steps if OWN in step.outputs[0]]
        if steps:
            steps[-1].round_to(dtype)

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return every output for a batch of each input."""
        values = {name: getattr(self, held) for name, held in self._names.items()}
        values |= zip(self._inputs, batch, strict=True)
        values[""] = None  # an input that a node leaves out
        for step in self._steps:
            found = step.run([values[name] for name in step.inputs], step.attributes)
            answers = (found,) if isinstance(found, torch.Tensor) else found
            # An LSTM may have more than are read.
            values |= zip(step.outputs, answers, strict=False)
            for name in step.last_of:
                values.pop(name, None)
        return tuple(values[name] for name in self._outputs)


class _Step:
    """One node.

    Attributes:
        inputs: names of what it reads.
        outputs: names of what it makes.
        attributes: of the node.
        run: computes it.
        last_of: names of what no later node reads.
    """

    def __init__(self, node: onnx.NodeProto, held: Mapping[str, Array], path: str) -> None:
        known = [*OPERATORS, LSTM]
        several = len(node.output) > 1 and node.op_type not in (SPLIT, LSTM)
        if node.op_type not in known or node.domain not in ("", "ai.onnx") or several:
            raise EngineError(
                f'{path}: the torch backend cannot run node "{node.name}" of type {node.op_type}; '
                f"it knows {', '.join(known)}. Export the model with torch.export (.pt2), or "
                "use another backend."
            )
        self.outputs = list(node.output)
        self.last_of: list[str] = []
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == LSTM:
            self.run: Operator = Lstm(node, self.attributes, held, path)
            self.inputs = self.run.fed
            return
        for name, neutral in NEUTRAL.get(node.op_type, {}).items():
            if self.attributes.get(name, neutral) != neutral:
                raise EngineError(
                    f'{path}: node "{node.name}" of type {node.op_type} has {name} '
                    f"{self.attributes[name]}; the torch backend knows only {neutral}. Export the "
                    "model with torch.export (.pt2), or use another backend."
                )
        self.run = OPERATORS[node.op_type]
        names = FIXED.get(node.op_type, ())
        if node.op_type in NUMBERS and all(not name or name in held for name in node.input[1:]):
            names = NUMBERS[node.op_type]
        first = 1 if names else len(node.input)
        self.inputs = list(node.input[:first])
        for name, source in zip(names, node.input[first:], strict=False):
            if source and source not in held:
                raise EngineError(
                    f'{path}: node "{node.name}" of type {node.op_type} computes its {name} while '
                    "it runs; the torch backend needs a constant. Export the model for one size "
                    "of image, with only the batch axis open."
                )
            if source:
                self.attributes[name] = held[source].tolist()
        if node.op_type == SPLIT:
            self.attributes.setdefault("num_outputs", len(node.output))

    def round_to(self, dtype: torch.dtype) -> None:
        """Return the same in another type."""
        run = self.run

        def rounded(inputs: Sequence[torch.Tensor], attributes: Attributes) -> torch.Tensor:
            found = run(inputs, attributes)
            assert isinstance(found, torch.Tensor), "a normalisation has one output"
            return found.to(dtype)

        self.run = rounded


def _in_order(graph: onnx.GraphProto, given: set[str], path: str) -> list[onnx.NodeProto]:
    """Return the nodes, each after those that it reads: not every tool writes them so.

    Such as the converter to float16 of ONNX Runtime, which sorts them itself when it loads them.
    """
    nodes = [node for node in graph.node if node.op_type != CONSTANT]
    maker = {output: index for index, node in enumerate(nodes) for output in node.output}
    reads: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        names = [name for name in node.input if name and name not in given]
        if lost := [name for name in names if name not in maker]:
            raise EngineError(
                f'{path}: node "{node.name}" of type {node.op_type} reads "{lost[0]}", which '
                "no node gives. Export the model again."
            )
        reads[index] = [maker[name] for name in names]
    if all(index > max(before, default=-1) for index, before in reads.items()):
        return nodes
    try:
        return [nodes[index] for index in TopologicalSorter(reads).static_order()]
    except CycleError as error:
        raise EngineError(
            f"{path}: its nodes read one another in a circle. Export the model again."
        ) from error


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the initializers, and what nodes of type Constant give."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == CONSTANT:
            (attribute,) = node.attribute
            value = helper.get_attribute_value(attribute)
            if attribute.name == "value":
                held[node.output[0]] = numpy_helper.to_array(value)
            else:  # value_float, value_ints and so on
                kind = np.float32 if "float" in attribute.name else np.int64
                held[node.output[0]] = np.array(value, kind)
    return held


def _load(path: str) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's and onnx's exceptions share no other base
        reason = " ".join(str(error).split())
        raise EngineError(
            f"{path}: not an ONNX model, or incomplete: {reason}. Export or copy it again."
        ) from error


def _tensor(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.dim_value else None for size in tensor.shape.dim)
    return TensorSpec(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)
