"""An ONNX graph with random weights while it grows: what the makers of stand-ins share.

Knows no architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

OPSET = 17
IR_VERSION = 9  # read by ONNX Runtime 1.15 and later


class Network:
    """Nodes and weights; a value is known by its name.

    Args:
        seed: of the weights, which are drawn in the order in which they are asked for.
        dtype: of weights, input and all that is between.
    """

    def __init__(self, seed: int, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    # An attribute is a number, or a list of them, as the operator says.
    def node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; return its name, which is the node's."""
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def nodes(
        self, op: str, names: Sequence[str], inputs: Sequence[str], **attributes: Any
    ) -> None:
        """Add a node with several outputs; it has the name of the first."""
        self._nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))

    def random(self, shape: Sequence[int]) -> NDArray[np.float64]:
        """Return normal numbers with a deviation of 1."""
        numbers: NDArray[np.float64] = self._random.standard_normal(tuple(shape))
        return numbers

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; float64, in which weights are computed, becomes the network's type."""
        kept = values.astype(self.dtype) if values.dtype == np.float64 else values
        self._constants.append(numpy_helper.from_array(kept, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a list of integers, such as a shape."""
        return self.constant(name, np.array(values, np.int64))

    def conv(
        self, name: str, x: str, weight: NDArray[Any], bias: NDArray[Any], **attributes: Any
    ) -> str:
        """Add a convolution whose padding keeps the size, but for its strides.

        Args:
            name: of the node.
            x: its input.
            weight: [out, in / group, side, side].
            bias: [out].
            attributes: the operator's others.
        """
        side = weight.shape[-1]
        inputs = [x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        sizes = {"kernel_shape": [side, side], "pads": [side // 2] * 4}
        return self.node("Conv", name, inputs, **sizes, **attributes)

    def value(
        self, name: str, shape: Sequence[int], dtype: str | None = None
    ) -> onnx.ValueInfoProto:
        """Return an input or output of the graph.

        Args:
            name: of the value.
            shape: without the batch axis.
            dtype: None: the network's.
        """
        kind = helper.np_dtype_to_tensor_dtype(self.dtype if dtype is None else np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, ["N", *shape])

    def write(
        self,
        target: Path,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> None:
        """Check the model and write it, the same bytes each time.

        Args:
            target: the file.
            name: of the graph.
            inputs: of the graph; see `value`.
            outputs: nodes', likewise.
        """
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        target.write_bytes(model.SerializeToString(deterministic=True))
