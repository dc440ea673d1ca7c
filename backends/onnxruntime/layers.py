"""The layers that ONNX Runtime really runs: from its profile of one batch, and its rewritten graph.

The profile has the type and shape of what each node computed; weights that were packed when the
model was loaded are only in the graph. Both name a node alike.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.layers import Layer
from backends.onnxruntime import session as ort
from backends.onnxruntime.cuda_session import GpuOptions, gpu_providers
from backends.options import read_options
from sut.base.errors import EngineError
from sut.base.onnx_file import check_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from onnx import ModelProto, NodeProto

    from backends.base import EngineSpec

    Shape = tuple[int, ...]

# Of an operator's type, contributed and fused ones too.
COMPUTING = re.compile(r"conv|gemm|matmul|attention|einsum|^(lstm|gru|rnn)$", re.IGNORECASE)
# A type in the profile, and the word for its precision.
PRECISIONS: Mapping[str, str] = {
    "float": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "double": "fp64",
    "uint8": "int8",
    "int8": "int8",
}
_SUFFIX = "_kernel_time"


def executed_layers(spec: EngineSpec, batch: int) -> list[Layer]:
    """See backends.layers.executed_layers."""
    runtime = ort.import_runtime()
    path = check_file(spec.model_path)
    options, wanted = _opening(spec)
    with TemporaryDirectory(prefix="sut-profile-") as folder:
        settings = ort.session_options(runtime, options)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        settings.optimized_model_filepath = str(Path(folder) / "graph.onnx")
        try:
            session = runtime.InferenceSession(path, settings, providers=wanted, enable_fallback=0)
            feed = {
                node.name: np.zeros((_rows(node, batch), *tensor.sizes), tensor.dtype)
                for node in session.get_inputs()
                for tensor in spec.inputs
                if tensor.name == node.name or len(spec.inputs) == 1
            }
            session.run(None, feed)
            profile = json.loads(Path(session.end_profiling()).read_text("utf-8"))
        except Exception as error:  # ONNX Runtime's exceptions share no other base
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"{path}: its layers cannot be profiled: {reason}") from error
        import onnx  # noqa: PLC0415 - slow to import

        graph = onnx.load(settings.optimized_model_filepath)
    return layers_of(profile, graph)


def _opening(spec: EngineSpec) -> tuple[ort.Options, list[tuple[str, dict[str, str]]]]:
    """Return the session's options and providers, as the engine itself has them."""
    if spec.device == "cpu":
        options = read_options(spec.options, ort.Options, "onnxruntime backend")
        return ort.with_threads(options, spec.cores), ort.providers(spec.device)
    found = read_options(spec.options, GpuOptions, "onnxruntime backend")
    options = ort.Options(found.intra_op_threads, graph_optimization=found.graph_optimization)
    return options, gpu_providers(spec.device, found)


def _rows(node: Any, batch: int) -> int:
    """Return the batch that an input takes: the model's own where its axis is fixed."""
    rows = node.shape[0]
    return rows if isinstance(rows, int) else batch


def layers_of(profile: Sequence[Mapping[str, Any]], model: ModelProto) -> list[Layer]:
    """Return the layers of a profile, in the order in which they ran.

    Args:
        profile: events of one batch.
        model: the graph that ran.
    """
    nodes = {node.name: node for node in model.graph.node if node.name}
    # The profile calls one without a name by its type and a number of its own.
    nameless = [node for node in model.graph.node if not node.name]
    shapes: dict[str, Shape] = {t.name: tuple(t.dims) for t in model.graph.initializer}
    found = []
    for name, said in _ran(profile):
        node = nodes.get(name) or _first_of(nameless, str(said.get("op_name")))
        if node is None:
            continue
        outputs = [next(iter(one.items())) for one in said.get("output_type_shape", [])]
        for tensor, (_, shape) in zip(node.output, outputs, strict=False):
            shapes[tensor] = tuple(shape)
        inputs = [next(iter(one.items())) for one in said.get("input_type_shape", [])]
        if not COMPUTING.search(node.op_type) or not inputs:
            continue
        kind, first = inputs[0]
        shapes.setdefault(node.input[0], tuple(first))
        found.append(
            Layer(
                name=name,
                op=node.op_type,
                precision=PRECISIONS.get(kind, kind),
                inputs=tuple(shapes.get(tensor, ()) for tensor in node.input),
                outputs=tuple(shapes.get(tensor, ()) for tensor in node.output),
            )
        )
    return found


def _first_of(nameless: list[NodeProto], op: str) -> NodeProto | None:
    """Take the next node of a type; nodes run in the order of the graph, or nearly so."""
    found = next((node for node in nameless if node.op_type == op), None)
    if found is not None:
        nameless.remove(found)
    return found


def _ran(profile: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for event in profile:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_SUFFIX):
            yield name.removesuffix(_SUFFIX), event.get("args", {})
