"""Loads a model for the torch backend: ONNX, torch.export (.pt2) or TorchScript (.pt).

Knows no device worker, slots or graphs.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from backends.base import TensorSpec
from backends.interface import check_answers, first_answers, fit_inputs, order_outputs
from backends.torch.compiler import TORCH_EXPORT
from backends.torch.onnx_module import OnnxModule
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from backends.base import EngineSpec

IMAGE_AXES = 4
# Inputs of these types are converted to the weights' type, as floating ones are; larger integers
# are indices.
PIXELS = (torch.uint8, torch.int8)
# Of torch's types, to the word for a precision.
PRECISIONS = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device.

    Attributes:
        module: takes a batch of each input, returns a tuple of outputs in the order of `outputs`.
        form: what the file is.
        precision: of its weights.
        inputs: in the order in which `module` takes them, all sizes known.
        outputs: all sizes known.
        postprocess: "device" if the module chooses the boxes, else "worker".
    """

    module: nn.Module
    form: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    postprocess: str


@dataclass(frozen=True, slots=True)
class Loading:
    """How to load a model.

    Attributes:
        dtype: compute in this type, whatever the weights in the file are; None: in theirs.
        rows: samples of the batch that it runs first.
        boxes: appended to the model; None: the outputs are the model's.
    """

    dtype: torch.dtype | None
    rows: int
    boxes: nn.Module | None = None


class Wrapped(nn.Module):  # type: ignore[misc]  # torch may be absent, then it has no types
    """A model between the benchmark's inputs and our output buffers.

    Args:
        model: returns a tensor, or a sequence of them.
        dtype: the floating type that it computes in; None: it has no floating weights.
        order: which of its outputs to return, in order; None: all, in their own.
        boxes: makes of the first output all that is returned; None: outputs are returned.
    """

    def __init__(
        self,
        model: nn.Module,
        dtype: torch.dtype | None,
        order: Sequence[int] | None,
        boxes: nn.Module | None,
    ) -> None:
        super().__init__()
        self.model, self.dtype, self.order, self.boxes = model, dtype, order, boxes

    def forward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Convert, run, and put the outputs in order."""
        answers = self.model(*map(self._converted, batch))
        found = (answers,) if isinstance(answers, torch.Tensor) else tuple(answers)
        if self.order is not None:
            found = tuple(found[k] for k in self.order)
        if self.boxes is not None:
            found = (self.boxes(found[0]),)
        # NumPy has no bfloat16.
        return tuple(y.float() if y.dtype == torch.bfloat16 else y for y in found)

    def _converted(self, x: torch.Tensor) -> torch.Tensor:
        if self.dtype is not None and (x.is_floating_point() or x.dtype in PIXELS):
            x = x.to(self.dtype)
        if x.dim() == IMAGE_AXES:
            x = x.contiguous(memory_format=torch.channels_last)
        return x


def load_model(path: str, spec: EngineSpec, device: torch.device, how: Loading) -> LoadedModel:
    """Load the model at `path`, check it against what the benchmark feeds, and run it once.

    Args:
        path: of the file.
        spec: what the benchmark feeds and reads.
        device: to load it on.
        how: see Loading.

    Raises:
        EngineError: the file, or a model that does not fit; in one line, with what to do.
    """
    model, form = _read(path, device)
    if isinstance(model, OnnxModule):
        fed = fit_inputs(model.declared_inputs, spec, path)
        model.take([tensor.name for tensor in fed])
        names = [tensor.name for tensor in model.declared_outputs]
        ordered = order_outputs(model.declared_outputs, spec.output_name, path)
        order = [names.index(tensor.name) for tensor in ordered]
    else:
        fed, names, order = spec.inputs, [], None
    dtype = how.dtype or _floating(model)
    if how.dtype is not None and isinstance(model, OnnxModule):
        model.compute_in(how.dtype)
    elif how.dtype is not None and form != "torch.export":
        model = model.to(how.dtype)
    _channels_last(model)
    wrapped = Wrapped(model, dtype, order, how.boxes)
    outputs = _outputs(wrapped, fed, how.rows, device, path)
    if how.boxes is not None:
        outputs = [_named(outputs[0], "boxes")]
    elif order is not None:
        outputs = [_named(tensor, names[k]) for tensor, k in zip(outputs, order, strict=True)]
    elif spec.output_name is not None and outputs:
        outputs[0] = _named(outputs[0], spec.output_name)
    precision = PRECISIONS.get(dtype, str(dtype)) if dtype is not None else "integer"
    where = "worker" if how.boxes is None else "device"
    return LoadedModel(wrapped, form, precision, fed, tuple(outputs), where)


def _read(path: str, device: torch.device) -> tuple[nn.Module, str]:
    """Return the model in a file, without gradients, and the kind of the file."""
    if not zipfile.is_zipfile(path):  # both of torch's forms are zip archives
        return _still(OnnxModule(path).to(device)), "ONNX"
    try:
        if _is_export(path):
            with TORCH_EXPORT:
                return torch.export.load(path).module(), "torch.export"
        return _still(torch.jit.load(path, map_location=device)), "TorchScript"
    except Exception as error:  # torch's exceptions for a bad file share no other base
        raise EngineError(
            f"{path}: torch {torch.__version__} cannot load it: {_line(error)}. Save it with "
            "torch.export.save or torch.jit.save."
        ) from error


def _is_export(path: str) -> bool:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(name.endswith(("archive_format", "models/model.json")) for name in names)


def _still(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


def _floating(model: nn.Module) -> torch.dtype | None:
    return next((t.dtype for t in _tensors(model) if t.is_floating_point()), None)


def _channels_last(model: nn.Module) -> None:
    """Change the layout of convolution weights for tensor cores."""
    for tensor in _tensors(model):
        if tensor.dim() == IMAGE_AXES:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def _outputs(
    model: nn.Module,
    fed: Sequence[TensorSpec],
    rows: int,
    device: torch.device,
    where: str,
) -> list[TensorSpec]:
    """Return the outputs after one batch of `rows` zeros."""

    def run(count: int) -> list[TensorSpec]:
        zeros = [
            torch.zeros((count, *tensor.sizes), dtype=getattr(torch, tensor.dtype)).to(device)
            for tensor in fed
        ]
        try:
            with torch.no_grad():
                answers = model(*zeros)
        except torch.OutOfMemoryError:
            raise  # open_engine handles it
        except Exception as error:  # torch's exceptions share no other base
            raise EngineError(
                f"{where}: a first batch of {count} rows of zeros failed: {_line(error)}. If a "
                "batch of 1 works, the batch size is part of the model: export it with an open "
                "batch axis."
            ) from error
        declared = [
            TensorSpec(f"output{k}", (None, *answer.shape[1:]), str(answer.dtype).split(".")[-1])
            for k, answer in enumerate(answers)
        ]
        arrays = [np.empty(answer.shape, np.uint8) for answer in answers]
        return list(check_answers(declared, arrays, count, where))

    return first_answers(run, rows)


def _named(tensor: TensorSpec, name: str) -> TensorSpec:
    return TensorSpec(name, tensor.shape, tensor.dtype)


def _line(error: Exception) -> str:
    """Return the first useful line of torch's message."""
    lines: list[Any] = [line.strip() for line in str(error).splitlines()]
    return next((line.rstrip(".") for line in lines if line), type(error).__name__)
