"""A network in Keras's format, written by h5py, against the same in NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from data.convert import keras
from sut.base.errors import DataError

h5py = pytest.importorskip("h5py")

SIDE = 4


def layer(kind: str, name: str, before: str | None, **options: Any) -> dict[str, Any]:
    inbound = [] if before is None else [[[before, 0, 0, {}]]]
    return {"class_name": kind, "name": name, "config": options, "inbound_nodes": inbound}


def write(path: Path, layers: list[dict[str, Any]], weights: dict[str, dict[str, Any]]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
        groups = file.create_group("model_weights")
        for name, arrays in weights.items():
            group = groups.create_group(name)
            names = [f"{name}/{key}:0" for key in arrays]
            group.attrs["weight_names"] = [each.encode() for each in names]
            for each, array in zip(names, arrays.values(), strict=True):
                group[each] = array
    return path


def test_a_small_network_answers_as_numpy_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(1, 1, 3, 2)), random.normal(size=2)
    dense, shift = random.normal(size=(SIDE * SIDE * 2, 3)), random.normal(size=3)
    layers = [
        layer("InputLayer", "in", None, batch_input_shape=[None, SIDE, SIDE, 3]),
        layer("Conv2D", "c", "in", strides=[1, 1], dilation_rate=[1, 1], padding="same",
              activation="relu"),
        layer("Flatten", "f", "c"),
        layer("Dropout", "d", "f"),
        layer("Dense", "e", "d", activation="softmax"),
    ]  # fmt: skip
    weights = {
        "c": {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)},
        "e": {"kernel": dense.astype(np.float32), "bias": shift.astype(np.float32)},
    }
    target = tmp_path / "made.onnx"

    keras.convert(write(tmp_path / "model.h5", layers, weights), target, "any")
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    images = random.normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    (made,) = session.run(None, {"input": images})

    hidden = np.maximum(images.transpose(0, 2, 3, 1) @ kernel[0, 0] + bias, 0)
    sums = hidden.reshape(2, -1) @ dense + shift
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    np.testing.assert_allclose(made, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    layers = [
        layer("InputLayer", "in", None, batch_input_shape=[None, SIDE, SIDE, 3]),
        layer("LSTM", "memory", "in"),
    ]

    with pytest.raises(DataError, match="layer memory is a LSTM"):
        keras.convert(write(tmp_path / "model.h5", layers, {}), tmp_path / "made.onnx", "any")


def test_what_is_no_file_of_keras_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"no HDF5")

    with pytest.raises(DataError, match="expected a model that Keras 2 saved"):
        keras.convert(path, tmp_path / "made.onnx", "any")
