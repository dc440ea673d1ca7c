"""Puts the normalisation of an input in front of its model, so that it takes uint8 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError, DataError
from sut.base.onnx_file import load_whole
from sut.base.onnx_pixels import Normalizing, attach, detach

if TYPE_CHECKING:
    from pathlib import Path

    from data.schema import InputTensor

# Files for other backends than ONNX Runtime; only that backend can check them.
PLAN_SUFFIXES = frozenset({".plan", ".engine", ".trt"})
TORCH_SUFFIXES = frozenset({".pt", ".pt2"})
VERSION = 1  # raise it when the same model and input give another file


def takes_pixels(path: Path) -> bool:
    """Say whether a file is a plan: nothing can be put in front; its engine refuses what is wrong.

    Raises:
        ConfigError: it is a file of torch, which would take pixels as if they were normalised.
    """
    if path.suffix in TORCH_SUFFIXES:
        raise ConfigError(
            f"{path}: a {path.suffix} file cannot be changed, so it cannot normalise pixels; "
            "expected an ONNX model. Give one with --model, or leave --pixels out."
        )
    return path.suffix in PLAN_SUFFIXES


def write_of_pixels(source: Path, target: Path, tensor: InputTensor) -> None:
    """Write a model that takes normalised floats to `target`, for pixels.

    One that was made of such a model, in another precision, stays as it is.

    Raises:
        DataError: it has no such input, or another type of it.
    """
    import onnx  # noqa: PLC0415 - slow to import

    model = load_whole(source)
    try:
        detach(model)
        attach(model, normalizing(tensor))
    except DataError as error:
        raise DataError(f"model {source}: {error}") from error
    onnx.save(model, str(target))


def normalizing(tensor: InputTensor) -> Normalizing:
    """Return what a model does first to the pixels of an input that says so."""
    normalize = tensor.normalize
    assert normalize is not None, "the input says so"
    mean, std = (np.asarray(of, np.float32) for of in (normalize.mean, normalize.std))
    if tensor.layout == "NCHW":
        mean, std = (of if of.ndim == 0 else of[:, None, None] for of in (mean, std))
    return Normalizing(tensor.name, mean, std)
