"""The normalisation of pixels as nodes of a model: the same bits as the step's, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sut.base.errors import DataError
from sut.base.onnx_pixels import Normalizing, attach, detach
from tests.backends.models import floats, model

if TYPE_CHECKING:
    from onnx import ModelProto

SHAPE = (3, 16, 16)


def passing(kind: int = TensorProto.FLOAT) -> ModelProto:
    """Return a model that answers what it is fed, from inside a branch as well."""
    tensors = [helper.make_tensor_value_info(name, kind, ["N", *SHAPE]) for name in ("x", "y")]
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", kind, None)],
    )
    node = helper.make_node("If", ["always"], ["y"], then_branch=branch, else_branch=branch)
    return model([node], tensors[:1], tensors[1:], {"always": np.array(True)})


def of(mean: Any, std: Any) -> Normalizing:
    return Normalizing("x", np.asarray(mean, np.float32), np.asarray(std, np.float32))


def channels(*numbers: float) -> list[list[list[float]]]:
    return [[[number]] for number in numbers]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize(
    "normalizing",
    [
        of(127, 128),
        of(channels(123.68, 116.78, 103.94), 1),
        of(0, 255),
        of(0, 1),
        of(channels(123.675, 116.28, 103.53), channels(58.395, 57.12, 57.375)),
    ],
)
def test_the_nodes_compute_the_same_bits_as_the_step(kind: int, normalizing: Normalizing) -> None:
    values = np.arange(256, dtype=np.uint8)
    pixels = np.broadcast_to(values.reshape(16, 16), (2, *SHAPE)).copy()
    changed = passing(kind)

    attach(changed, normalizing)
    session = onnxruntime.InferenceSession(changed.SerializeToString())
    (found,) = session.run(None, {"x": pixels})

    exact = (pixels.astype(np.float32) - normalizing.mean) / normalizing.std
    np.testing.assert_array_equal(found, exact.astype(found.dtype))
    assert found.dtype == (np.float32 if kind == TensorProto.FLOAT else np.float16)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("normalizing", [of(127, 128), of(0, 1), of(channels(1, 2, 3), 1)])
def test_what_was_put_in_front_is_taken_away_again(kind: int, normalizing: Normalizing) -> None:
    changed = passing(kind)
    attach(changed, normalizing)

    found = detach(changed)

    assert changed == passing(kind)
    assert found is not None
    np.testing.assert_array_equal(found.mean, normalizing.mean)
    np.testing.assert_array_equal(found.std, normalizing.std)
    assert detach(changed) is None


def test_a_model_that_takes_no_floats_is_refused() -> None:
    with pytest.raises(DataError, match='"x" is UINT8; expected FLOAT'):
        attach(passing(TensorProto.UINT8), of(0, 1))


def test_an_input_that_is_not_there_is_refused_with_those_that_are() -> None:
    other = model([helper.make_node("Relu", ["a"], ["y"])], [floats("a", 1)], [floats("y", 1)])
    with pytest.raises(DataError, match='no input "x"; expected one of a'):
        attach(other, of(0, 1))
