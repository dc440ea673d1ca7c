"""`sut fit` as a user runs it: a real search on this CPU, and what is refused before one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sut.verbs.fit import parse_share, parse_size
from tests.sut.helpers.program import run_here

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE_FLOATS = 30_000_000
BENCHMARK = """\
name: wide
models: [{kind: file, path: wide.onnx}]
input: {name: x, shape: [1]}
dataset: {kind: synthetic, count: 4}
postprocess: {kind: raw}
"""


def write_benchmark(folder: Path) -> Path:
    """Write a benchmark whose model needs 120 MB for each sample, and returns their sum."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])
    shape = numpy_helper.from_array(np.array([1, SAMPLE_FLOATS], np.int64), "shape")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["wide"]),
        helper.make_node("ReduceMax", ["wide", "axes"], ["y"], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "wide", [x], [y], [shape, axes])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "wide.onnx")
    path = folder / "wide.yaml"
    path.write_text(BENCHMARK, "utf-8")
    return path


@pytest.mark.slow
def test_a_real_search_finds_the_edge_and_continues(tmp_path: Path) -> None:
    words = (
        "fit", "-b", write_benchmark(tmp_path), "--memory-limit", "250MB", "--json",
        "--out", tmp_path / "out", "--set", "intra_op_threads=1", "--set", "arena=false",
    )  # fmt: skip
    done = run_here(*words)
    assert done.code == 0, done.err
    [row] = json.loads(done.out)["rows"]
    assert row["largest_batch"] == 1
    assert row["fails_at"] == 2
    assert row["bound"].startswith(("over the memory limit", "out of memory"))
    assert 120e6 < row["needed_bytes"] < 250e6
    assert row["process"] == "anew"  # a fork shares what is measured
    again = run_here(*words)
    assert json.loads(again.out)["rows"] == [row]
    assert (tmp_path / "out/fit.md").read_text("utf-8").startswith("# What fits: wide")


REFUSED = {
    "no device has it": (("--backend", "null"), "nothing has to fit"),
    "two devices": (("--devices", "0,1", "--backend", "torch"), "one device"),
    "a limit": (("--memory-limit", "lots"), "expected a size"),
    "a share": (("--headroom", "120%"), "expected a share below 1"),
    "a largest batch": (("--most", "0"), "1 or more"),
    "a time": (("--run-s", "0"), "more than 0"),
    "a resolution": (("--resolution", "512"), "open height and width"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    words, fragment = REFUSED[name]
    out = tmp_path / "out"
    done = run_here("fit", "-b", "efficientnet-lite0", "--out", out, *words)
    assert done.code == 2
    assert fragment in done.err
    assert len(done.err.splitlines()) == 1
    assert not out.exists()


def test_sizes_and_shares() -> None:
    assert [parse_size(text) for text in ("2GB", "512 MB", "1.5GiB", "1000")] == [
        2_000_000_000, 512_000_000, 3 << 29, 1000,
    ]  # fmt: skip
    assert [parse_share("--x", text) for text in ("10%", "0.1", "0")] == [0.1, 0.1, 0.0]
