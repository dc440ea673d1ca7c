"""The layers of a TensorRT engine, as its inspector shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backends.tensorrt.builder import make_plan
from backends.tensorrt.engine import build_request, device_sm
from backends.tensorrt.inspection import inspected_layers
from backends.tensorrt.library import load_library
from backends.tensorrt.log import make_log
from backends.tensorrt.options import options_of
from backends.tensorrt.plan import SUFFIXES, read_plan
from sut.base.errors import EngineError
from sut.base.onnx_file import check_file

if TYPE_CHECKING:
    from backends.base import EngineSpec
    from backends.layers import Layer


def executed_layers(spec: EngineSpec, batch: int) -> list[Layer]:
    """See backends.layers.executed_layers. No batch runs: an engine has its precisions in it."""
    del batch
    options = options_of(spec.options, spec.device)
    library = load_library(options.library)
    path = Path(check_file(spec.model_path))
    if path.suffix in SUFFIXES:
        plan = read_plan(path, library)
    else:  # it was built when the engine was opened
        plan = make_plan(build_request(spec, options, device_sm(spec.device)), library)
    runtime = library.module.Runtime(make_log(library))
    engine = runtime.deserialize_cuda_engine(plan.path.read_bytes())
    if engine is None:
        raise EngineError(f"{plan.path}: {library} cannot load it a second time for its layers.")
    inspector = engine.create_engine_inspector()
    kind = library.module.LayerInformationFormat.JSON
    return inspected_layers(inspector.get_engine_information(kind))
