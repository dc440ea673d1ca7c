"""A cheap look into an ONNX file: is it one at all? Builds no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # no stubs come with it

from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def check_onnx(path: Path) -> None:
    """Raise DataError unless `path` parses as an ONNX model with nodes and outputs."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise DataError(
            f"{path}: is not an ONNX model, or only a part of one; expected a whole .onnx file."
        ) from error
    if not model.graph.node or not model.graph.output:
        raise DataError(f"{path}: an ONNX model without nodes or outputs; expected a whole model.")
