"""FLOPs and bytes of ONNX graphs, against counts that are known."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

from sut.base.errors import EngineError
from sut.models.graph_cost import cost_of, graph_cost
from sut.models.operator_costs import Call, is_counted, multiply_adds, other_operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sut.models.operator_costs import Shape

FLOAT = TensorProto.FLOAT
# Of ResNet-50 v1.5 at 224 pixels (torchvision's page of resnet50 says 4.09 GFLOPS and means these).
RESNET50_MACS = 4_089_184_256
RESNET50_WEIGHTS = 25_503_912 + 26_560  # torchvision's 25,557,032, batch normalization folded in


def weight(name: str, *shape: int, kind: int = FLOAT) -> onnx.TensorProto:
    """Return a weight with a shape and no content."""
    return TensorProto(name=name, dims=shape, data_type=kind)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    shape: Sequence[int | str],
    output: str,
) -> onnx.ModelProto:
    """Return a model with one input `x` and one output of unknown shape."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        list(weights),
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("somebody", 1)]
    return helper.make_model(graph, opset_imports=opsets)


class Net:
    """Builds ResNet-50's graph, batch normalization folded into the convolutions."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def conv(self, x: str, sizes: tuple[int, int], kernel: int, stride: int, *, relu: bool) -> str:
        name, (before, after) = f"conv{len(self.nodes)}", sizes
        self.weights.append(weight(f"{name}.w", after, before, kernel, kernel))
        self.weights.append(weight(f"{name}.b", after))
        self.nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.w", f"{name}.b"], [name], strides=[stride] * 2,
                kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4,
            )
        )  # fmt: skip
        return self.one("Relu", name) if relu else name

    def one(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def block(self, x: str, before: int, width: int, stride: int) -> str:
        y = self.conv(x, (before, width), 1, 1, relu=True)
        y = self.conv(y, (width, width), 3, stride, relu=True)
        y = self.conv(y, (width, 4 * width), 1, 1, relu=False)
        if before != 4 * width:
            x = self.conv(x, (before, 4 * width), 1, stride, relu=False)
        return self.one("Relu", self.one("Add", y, x))


def resnet50() -> onnx.ModelProto:
    net = Net()
    y = net.conv("x", (3, 64), 7, 2, relu=True)
    y = net.one("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for k in range(blocks):
            y = net.block(y, before, width, 2 if k == 0 and width > 64 else 1)
            before = 4 * width
    y = net.one("Flatten", net.one("GlobalAveragePool", y))
    net.weights += [weight("fc.w", 2048, 1000), weight("fc.b", 1000)]
    y = net.one("Gemm", y, "fc.w", "fc.b")
    return model(net.nodes, net.weights, ["N", 3, 224, 224], y)


def test_resnet_50_has_the_multiply_adds_that_everybody_counts() -> None:
    cost = graph_cost(resnet50(), 1)

    assert cost.macs == RESNET50_MACS
    assert cost.weight_bytes == 4 * RESNET50_WEIGHTS
    assert cost.uncounted == {}


def test_flops_grow_with_the_batch_and_bytes_do_so_without_the_weights() -> None:
    one, eight = graph_cost(resnet50(), 1), graph_cost(resnet50(), 8)

    assert eight.flops == 8 * one.flops
    assert eight.weight_bytes == one.weight_bytes
    assert eight.bytes - eight.weight_bytes == 8 * (one.bytes - one.weight_bytes)
    assert eight.intensity > one.intensity


def test_an_activation_behind_a_convolution_moves_nothing() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    cost = graph_cost(model(nodes, [weight("w", 16, 8, 1, 1)], ["N", 8, 4, 4], "z"), 2)
    read, written, weights = 2 * 8 * 16 * 4, 2 * 16 * 16 * 4, 16 * 8 * 4

    assert cost.bytes == read + written + weights
    assert cost.unfused_bytes == read + weights + 3 * written
    assert cost.launches == 1


def test_an_engine_that_computes_in_two_bytes_still_reads_the_samples_in_four() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["y", "v"], ["z"], kernel_shape=[1, 1]),
    ]
    weights = [weight("w", 16, 8, 1, 1), weight("v", 8, 16, 1, 1)]
    cost = graph_cost(model(nodes, weights, ["N", 8, 4, 4], "z"), 2, inside=2)
    samples, between, answers = 2 * 8 * 16 * 4, 2 * 16 * 16 * 2, 2 * 8 * 16 * 4

    assert cost.weight_bytes == 2 * 16 * 8 * 2
    assert cost.bytes == samples + 2 * between + answers + cost.weight_bytes


def test_silu_behind_a_convolution_moves_nothing_either() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["y"], ["s"]),
        helper.make_node("Mul", ["y", "s"], ["z"]),
    ]
    cost = graph_cost(model(nodes, [weight("w", 16, 8, 1, 1)], ["N", 8, 4, 4], "z"), 1)

    assert cost.bytes == 4 * (8 * 16 + 16 * 16 + 16 * 8)
    assert cost.launches == 1


def test_a_sum_of_two_convolutions_reads_the_first_and_joins_the_second() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["x", "w"], ["b"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
    ]
    cost = graph_cost(model(nodes, [weight("w", 8, 8, 1, 1)], ["N", 8, 4, 4], "d"), 1)
    tensor, weights = 4 * 8 * 16, 4 * 8 * 8

    assert cost.bytes == 2 * (tensor + weights) + 2 * tensor + tensor  # a is written and read
    assert cost.launches == 2


def test_an_activation_that_is_read_twice_is_written() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Concat", ["y", "z"], ["both"], axis=1),
    ]
    cost = graph_cost(model(nodes, [weight("w", 8, 8, 1, 1)], ["N", 8, 4, 4], "both"), 1)

    assert cost.bytes == cost.unfused_bytes


def test_quantized_tensors_count_with_one_byte_an_element() -> None:
    q, dq = "QuantizeLinear", "DequantizeLinear"
    nodes = [
        helper.make_node(q, ["x", "s", "z"], ["xq"]),
        helper.make_node(dq, ["xq", "s", "z"], ["xd"]),
        helper.make_node(dq, ["wq", "s", "zw"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    weights = [
        weight("s"), weight("z", kind=TensorProto.UINT8), weight("zw", kind=TensorProto.INT8),
        weight("wq", 64, 32, kind=TensorProto.INT8),
    ]  # fmt: skip
    cost = graph_cost(model(nodes, weights, ["N", 64], "y"), 4)

    assert cost.macs == 4 * 64 * 32
    inputs, quantized, outputs = 4 * 64 * 4, 4 * 64, 4 * 32 * 4
    scales = 4 + 1
    assert cost.bytes == inputs + scales + 2 * quantized + 64 * 32 + outputs


def test_nodes_may_be_in_any_order() -> None:
    nodes = [
        helper.make_node("MatMul", ["c", "w"], ["y"]),
        helper.make_node("Relu", ["x"], ["c"]),
    ]

    assert graph_cost(model(nodes, [weight("w", 8, 2)], ["N", 8], "y"), 1).macs == 16


def test_what_is_not_counted_is_named() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["c"]),
        helper.make_node("Fancy", ["c"], ["y"], domain="somebody"),
    ]

    assert graph_cost(model(nodes, [], ["N", 8], "y"), 1).uncounted == {"Fancy": 1}


def test_a_circle_and_a_file_of_another_kind_are_one_line(tmp_path: Path) -> None:
    circle = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    (tmp_path / "text.onnx").write_text("no model")

    with pytest.raises(EngineError, match="circle"):
        graph_cost(model(circle, [], ["N", 8], "b"), 1)
    with pytest.raises(EngineError, match="cannot be counted"):
        cost_of(tmp_path / "text.onnx", 1)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "attributes", "macs"),
    [
        ("Conv", [(2, 8, 9, 9), (8, 1, 3, 3)], (2, 8, 9, 9), {"group": 8}, 2 * 8 * 81 * 9),
        ("ConvTranspose", [(1, 4, 5, 5), (4, 6, 2, 2)], (1, 6, 10, 10), {}, 100 * 24),
        ("QLinearConv", [(1, 4, 5, 5), (), (), (6, 4, 1, 1)], (1, 6, 5, 5), {}, 150 * 4),
        ("MatMul", [(3, 12, 7, 64), (3, 12, 64, 7)], (3, 12, 7, 7), {}, 3 * 12 * 49 * 64),
        ("Gemm", [(10, 4), (10, 5)], (4, 5), {"transA": 1}, 200),
        ("LSTM", [(7, 2, 3), (1, 20, 3), (1, 20, 5)], (7, 1, 2, 5), {}, 14 * (60 + 100)),
        ("Einsum", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), {"equation": "bij,bjk->bik"}, 120),
    ],
)
def test_multiply_adds_of_an_operator(
    op: str, inputs: list[Shape], output: Shape, attributes: Mapping[str, object], macs: int
) -> None:
    assert multiply_adds(Call(op, inputs, [output], attributes)) == macs


@pytest.mark.parametrize(
    ("op", "inputs", "output", "attributes", "operations"),
    [
        ("Relu", [(2, 8)], (2, 8), {}, 16),
        ("BatchNormalization", [(2, 8), (8,), (8,)], (2, 8), {}, 32),
        ("MaxPool", [(1, 4, 6, 6)], (1, 4, 3, 3), {"kernel_shape": [2, 2]}, 36 * 4),
        ("Softmax", [(2, 10)], (2, 10), {}, 100),
        ("Transpose", [(2, 10)], (10, 2), {}, 0),
        ("Cast", [(2, 10)], (2, 10), {}, 0),
    ],
)
def test_operations_of_an_operator_without_products(
    op: str, inputs: list[Shape], output: Shape, attributes: Mapping[str, object], operations: int
) -> None:
    assert other_operations(Call(op, inputs, [output], attributes)) == operations
    assert is_counted(op)
    assert prod(output) > 0
