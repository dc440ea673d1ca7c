"""Batch normalisations that the convolution before them does: same answers, fewer nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from backends.torch.norms import folded
from tests.backends.models import floats, model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from backends.base import Array

X = floats("x", "N", 4, 6, 5)
NORM = ("scale", "offset", "mean", "variance")


def constants(**others: Array) -> dict[str, Array]:
    random = np.random.default_rng(3)
    return {name: random.uniform(0.5, 2, 4).astype(np.float32) for name in NORM} | others


def weights(*shape: int) -> Array:
    return np.random.default_rng(4).standard_normal(shape).astype(np.float32)


def norm(source: str, target: str) -> NodeProto:
    return helper.make_node("BatchNormalization", [source, *NORM], [target], epsilon=1e-3)


def answers(
    nodes: Sequence[NodeProto], held: Mapping[str, Array], outputs: Sequence[str]
) -> list[NDArray[np.float32]]:
    declared = [floats(name, "N", "?", "?", "?") for name in outputs]
    proto = model(nodes, [X], declared, held)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(5).standard_normal((2, 4, 6, 5)).astype(np.float32)
    found: list[NDArray[np.float32]] = session.run(None, {"x": x})
    return found


def check(nodes: list[NodeProto], held: dict[str, Array], outputs: list[str]) -> list[str]:
    """Check that folding changes no answer; return the operators that are left."""
    want = answers(nodes, held, outputs)
    left = folded(nodes, held, outputs)
    for one, other in zip(answers(left, held, outputs), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    return [node.op_type for node in left]


@pytest.mark.parametrize("inputs", [("w",), ("w", "b")])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_takes_what_follows_it(inputs: tuple[str, ...], groups: int) -> None:
    how: dict[str, Any] = {"group": groups, "strides": [2, 1], "pads": [1, 0, 1, 2]}
    conv = helper.make_node("Conv", ["x", *inputs], ["c"], **how)
    held = constants(w=weights(4, 4 // groups, 3, 3), b=weights(4))

    left = check([conv, norm("c", "n"), helper.make_node("Relu", ["n"], ["y"])], held, ["y"])

    assert left == ["Conv", "Relu"]


def test_convolutions_with_the_same_weights_stay_apart() -> None:
    first, second = (helper.make_node("Conv", [x, "w"], [y]) for x, y in (("x", "a"), ("n", "b")))
    held = constants(w=weights(4, 4, 1, 1))

    assert check([first, norm("a", "n"), second, norm("b", "y")], held, ["y"]) == ["Conv"] * 2


def test_a_value_that_others_read_is_kept() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    held = constants(w=weights(4, 4, 1, 1))
    both = helper.make_node("Add", ["c", "n"], ["y"])

    assert check([conv, norm("c", "n"), both], held, ["y"]) == ["Conv", "BatchNormalization", "Add"]
    assert check([conv, norm("c", "y")], held, ["c", "y"]) == ["Conv", "BatchNormalization"]


def test_a_normalisation_without_a_convolution_is_kept() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), norm("r", "y")]

    assert check(nodes, constants(), ["y"]) == ["Relu", "BatchNormalization"]


def test_weights_that_are_computed_are_not_touched() -> None:
    doubled = helper.make_node("Add", ["w", "w"], ["twice"])
    conv = helper.make_node("Conv", ["x", "twice"], ["c"])
    held = constants(w=weights(4, 4, 1, 1))

    left = check([doubled, conv, norm("c", "y")], held, ["y"])

    assert left == ["Add", "Conv", "BatchNormalization"]


def test_a_normalisation_by_the_batch_s_own_statistics_is_kept() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    training = norm("c", "y")
    training.attribute.append(helper.make_attribute("training_mode", 1))

    left = folded([conv, training], constants(w=weights(4, 4, 1, 1)), ["y"])

    assert [node.op_type for node in left] == ["Conv", "BatchNormalization"]
