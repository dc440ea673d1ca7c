"""The operations a second of ONNX Runtime on this CPU: a large matrix product, by precision."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from backends.onnxruntime import session as ort

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ModelProto

# Small ones fit into one core's cache and between two interruptions, large ones occupy many cores.
SIDES = (256, 512, 1024)
LEAST_RUNS = 5
NS_PER_S = 1e9
# What it computes in on a CPU, with the types of both sides and of the result.
_TYPES: Mapping[str, tuple[str, str, str]] = {
    "fp32": ("float32", "float32", "float32"),
    "int8": ("uint8", "int8", "int32"),
}


def gemm_flops_per_s(
    precision: str, threads: int, seconds: float = 0.1, sides: Sequence[int] = SIDES
) -> float | None:
    """Return the best of some products of square matrices; None: it has no such kernel.

    Args:
        precision: "fp32" or "int8"; others it computes in fp32, between casts.
        threads: as many as the engine has.
        seconds: to try for, with each side.
        sides: of the matrices.
    """
    types = _TYPES.get(precision)
    if types is None:
        return None
    runtime = ort.import_runtime()
    settings = ort.session_options(runtime, ort.Options(intra_op_threads=threads))
    best = 0.0
    for side in sides:
        content = _model(types, side).SerializeToString()
        session = runtime.InferenceSession(content, settings, providers=[ort.CPU])
        left = np.random.default_rng(0).integers(0, 100, (side, side)).astype(types[0])
        session.run(None, {"a": left})
        until_ns, runs = time.monotonic_ns() + int(seconds * NS_PER_S), 0
        while time.monotonic_ns() < until_ns or runs < LEAST_RUNS:
            start_ns = time.monotonic_ns()
            session.run(None, {"a": left})
            took_ns, runs = time.monotonic_ns() - start_ns, runs + 1
            best = max(best, 2 * side**3 * NS_PER_S / took_ns)
    return best


def _model(types: tuple[str, str, str], side: int) -> ModelProto:
    """Return a product with a constant right side, which is packed once, as weights are."""
    from onnx import helper, numpy_helper  # noqa: PLC0415 - slow to import

    a, _, y = (helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in types)
    right = np.random.default_rng(1).integers(-100, 100, (side, side)).astype(types[1])
    product = "MatMul" if types[0] == "float32" else "MatMulInteger"
    graph = helper.make_graph(
        [helper.make_node(product, ["a", "b"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("a", a, [side, side])],
        [helper.make_tensor_value_info("y", y, [side, side])],
        [numpy_helper.from_array(right, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
