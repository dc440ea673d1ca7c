"""Saves an ONNX model as TorchScript, by tracing the module that the backend runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from backends.torch.onnx_module import OnnxModule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.base import TensorSpec


def save_script(source: Path, target: Path, inputs: Sequence[TensorSpec]) -> None:
    """Write `source` to `target` as TorchScript, with an open batch axis.

    Args:
        source: an ONNX model.
        target: a .pt file, replaced.
        inputs: of the model, all sizes known; TorchScript takes them in this order.

    Raises:
        EngineError: the torch backend does not know an operator of the model.
    """
    module = OnnxModule(str(source)).eval()
    module.take([tensor.name for tensor in inputs])
    batch = tuple(
        torch.zeros((2, *tensor.sizes), dtype=getattr(torch, tensor.dtype)) for tensor in inputs
    )
    with torch.no_grad(), warnings.catch_warnings():
        # torch's LSTM compares sizes in Python: they are those of the model, whatever the batch.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.jit.trace(module, batch, check_trace=False).save(str(target))
