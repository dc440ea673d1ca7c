"""The torch backend: the contract on the host, the forms of a model, and what it refuses."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec, WeighedEngine, open_engine
from sut.base.errors import ConfigError, EngineError
from sut.base.onnx_pixels import Normalizing, attach
from sut.base.steps import heard_by
from tests.backends.conformance import (
    SeveralInputsTestCase,
    SlotsTestCase,
    SpawnTestCase,
    make_samples,
    rows_of,
)
from tests.backends.models import (
    CLASSES,
    SHAPE,
    THREE,
    floats,
    linear,
    linear_answers,
    model,
    save,
    three,
    three_answers,
    three_weights,
)

torch = pytest.importorskip("torch", reason="torch is not installed")

import onnxruntime  # noqa: E402 - after the check that torch is there
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from backends.onnxruntime.precision import convert  # noqa: E402
from backends.torch.onnx_module import OnnxModule  # noqa: E402
from backends.torch.script import save_script as save_onnx_as_script  # noqa: E402
from data.convert import tft, yolo11  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from backends.base import Array, Arrays, OptionValue

# torch says so of TorchScript at every turn; files of it are there all the same.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*torch\.jit:DeprecationWarning")

INPUT = TensorSpec("x", SHAPE, "float32")
CAP = 6


def spec_of(path: str, *tensors: TensorSpec, **options: OptionValue) -> EngineSpec:
    return EngineSpec("torch", path, tensors or (INPUT,), None, CAP, options=options, slots=2)


class Linear(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch may be absent
    """tests.backends.models.linear."""

    def __init__(self) -> None:
        super().__init__()
        from tests.backends.models import weights

        self.register_buffer("w", torch.from_numpy(weights()))

    def forward(self, x):  # type: ignore[no-untyped-def]  # a tensor to two of them
        logits = x.flatten(1) @ self.w
        return logits, logits.argmax(1, keepdim=True)


def save_export(path: Path) -> str:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Linear(), (torch.zeros(2, *SHAPE),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return str(path)


def save_script(path: Path) -> str:
    torch.jit.save(torch.jit.trace(Linear(), torch.zeros(2, *SHAPE)), path)
    return str(path)


class OnHost(SlotsTestCase):
    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestOnnx(OnHost, SpawnTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(save(linear(), tmp_path))


class TestExport(OnHost):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(save_export(tmp_path / "model.pt2"))


class TestScript(OnHost):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(save_script(tmp_path / "model.pt"))


class Three(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch may be absent
    """tests.backends.models.three."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in three_weights().items():
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, ids, mask, values):  # type: ignore[no-untyped-def]  # tensors
        logits = (self.table[ids] * mask) @ self.w + values.flatten(1) @ self.v
        return logits, logits.argmax(1, keepdim=True)


def zeros(count: int) -> tuple[object, ...]:
    kinds = [(tensor.sizes, getattr(torch, tensor.dtype)) for tensor in THREE]
    return tuple(torch.zeros((count, *sizes), dtype=dtype) for sizes, dtype in kinds)


def save_three(path: Path, form: str) -> str:
    if form == "script":
        torch.jit.save(torch.jit.trace(Three(), zeros(2)), path)
        return str(path)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Three(), zeros(2), dynamic_shapes=({0: batch},) * len(THREE))
    torch.export.save(program, path)
    return str(path)


class ThreeOnHost(SeveralInputsTestCase):
    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


class TestThreeInputsOfOnnx(ThreeOnHost, SlotsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(save(three(), tmp_path)), inputs=THREE)


class TestThreeInputsOfExport(ThreeOnHost):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(save_three(tmp_path / "model.pt2", "export")), inputs=THREE)


class TestThreeInputsOfScript(ThreeOnHost):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(save_three(tmp_path / "model.pt", "script")), inputs=THREE)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "export", "script"])
def test_a_compiled_model_of_three_inputs_answers_the_same(tmp_path: Path, form: str) -> None:
    path = save(three(), tmp_path) if form == "onnx" else save_three(tmp_path / form, form)
    spec = replace(spec_of(path, compile="inductor", graph_sizes="2"), inputs=THREE)
    samples = make_samples(spec, seed=3)
    engine = open_engine(spec)
    engine.bind(samples)

    for rows in ([4, 1], [7]):
        np.testing.assert_array_equal(engine.infer(rows)[0], three_answers(**samples)[0][rows])
    engine.close()


def test_indices_stay_whole_numbers_in_half_precision(tmp_path: Path) -> None:
    path = save_three(tmp_path / "model.pt", "script")
    spec = replace(spec_of(path, precision="fp16"), inputs=THREE)
    samples = make_samples(spec, seed=6)
    engine = open_engine(spec)

    logits, best = engine.infer_arrays(rows_of(samples, slice(CAP)))

    wanted = three_answers(**samples)
    np.testing.assert_array_equal(best, wanted[1][:CAP])
    np.testing.assert_array_equal(logits, wanted[0][:CAP])
    assert logits.dtype == np.float16
    engine.close()


def test_onnx_inputs_are_fed_by_name_in_whatever_order_the_benchmark_has(tmp_path: Path) -> None:
    spec = replace(spec_of(save(three(), tmp_path)), inputs=THREE[::-1])
    samples = make_samples(spec, seed=5)
    engine = open_engine(spec)

    np.testing.assert_array_equal(
        engine.infer_arrays({name: array[:4] for name, array in samples.items()})[0],
        three_answers(**samples)[0][:4],
    )
    engine.close()


# Models that fit


def answers_of(engine_spec: EngineSpec, samples: Array) -> Array:
    engine = open_engine(engine_spec)
    engine.bind({"x": samples})
    found = np.concatenate([engine.infer([k])[0].copy() for k in range(len(samples))])
    engine.close()
    return found


def test_an_engine_knows_its_weights(tmp_path: Path) -> None:
    engine = open_engine(spec_of(save(linear(), tmp_path)))

    assert isinstance(engine, WeighedEngine)
    assert engine.memory_bytes()["weights"] > 0
    engine.close()


def test_the_named_output_comes_first(tmp_path: Path) -> None:
    engine = open_engine(replace(spec_of(save(linear(), tmp_path)), output_name="best"))

    assert [output.name for output in engine.outputs] == ["best", "logits"]
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "export", "script"])
def test_a_compiled_model_answers_the_same(tmp_path: Path, form: str) -> None:
    save_as = {"export": save_export, "script": save_script}
    path = save_as[form](tmp_path / form) if form in save_as else save(linear(), tmp_path)
    samples = np.random.default_rng(3).integers(-8, 9, (4, *SHAPE)).astype(np.float32)

    heard: list[str] = []

    with heard_by(heard.append):
        found = answers_of(spec_of(path, compile="inductor", graph_sizes="1"), samples)

    np.testing.assert_array_equal(found, linear_answers(samples)[0])
    assert heard[:2] == ["importing torch", "loading the model"]
    assert [step for step in heard if step.startswith("compiling")] == [
        "compiling 1 of 2",
        "compiling 2 of 2",
    ]


@pytest.mark.parametrize(("graph_sizes", "rows"), [("1", 6), ("1,3", 3)])
def test_the_first_batch_has_a_size_that_runs_later(
    tmp_path: Path, graph_sizes: str, rows: int
) -> None:
    """A GPU then chooses its algorithms for that size only once."""
    path = save(linear(), tmp_path)
    sizes: list[int] = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, batch: sizes.append(len(batch[0])) if batch else None
    )
    try:
        open_engine(spec_of(path, compile="inductor", graph_sizes=graph_sizes)).close()
    finally:
        hook.remove()

    assert sizes[0] == rows


def test_what_the_compiler_kept_of_one_model_does_not_answer_for_another(tmp_path: Path) -> None:
    """The same graph with other weights: the kept code is used again, the weights are not."""
    samples = np.random.default_rng(4).integers(-8, 9, (2, *SHAPE)).astype(np.float32)
    found = []
    for factor in (1, 3):
        proto = linear()
        held = proto.graph.initializer[0]
        held.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(held) * np.float32(factor), "w")
        )
        (folder := tmp_path / str(factor)).mkdir()
        path = save(proto, folder)
        found.append(answers_of(spec_of(path, compile="inductor", graph_sizes="1"), samples))

    np.testing.assert_array_equal(found[1], 3 * found[0])
    np.testing.assert_array_equal(found[0], linear_answers(samples)[0])


def test_bfloat16_is_computed_and_answered_as_float32(tmp_path: Path) -> None:
    samples = np.full((2, *SHAPE), 0.3, np.float32)
    engine = open_engine(spec_of(save(linear(), tmp_path), precision="bf16"))
    engine.bind({"x": samples})

    found = engine.infer([0])[0]

    assert engine.facts["precision"] == "bf16"
    assert found.dtype == np.float32
    exact = linear_answers(samples)[0][:1].astype(np.float32)
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=0.05, atol=0.05)
    assert not np.array_equal(found, exact)
    engine.close()


def test_half_precision_is_computed_and_said(tmp_path: Path) -> None:
    samples = np.ones((2, *SHAPE), np.float32)
    engine = open_engine(spec_of(save(linear(), tmp_path), precision="fp16"))
    engine.bind({"x": samples})

    found = engine.infer([0])[0]

    assert engine.facts["precision"] == "fp16"
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, linear_answers(samples)[0][:1].astype(np.float16))
    engine.close()


def image_model() -> ModelProto:
    """Return every operator with windows, strides and sides that differ."""
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32) / 8
    deep = np.random.default_rng(1).standard_normal((4, 1, 3, 3)).astype(np.float32) / 2
    dense = np.random.default_rng(2).standard_normal((CLASSES, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("Clip", ["c", "low", "high"], ["clipped"]),
        helper.make_node(
            "Conv", ["clipped", "d"], ["deep"], group=4, pads=[1, 1, 1, 1], kernel_shape=[3, 3]
        ),
        helper.make_node("Add", ["deep", "clipped"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["relu"]),
        helper.make_node(
            "MaxPool", ["relu"], ["max"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]
        ),
        helper.make_node("GlobalAveragePool", ["max"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "bias"], ["gemm"], transB=1, alpha=0.5),
        helper.make_node("Softmax", ["gemm"], ["y"], axis=1),
    ]
    constants: dict[str, Array] = {
        "k": kernel,
        "b": np.arange(4, dtype=np.float32) / 4,
        "d": deep,
        "w": dense,
        "bias": np.ones(CLASSES, np.float32),
        "low": np.float32(0) * np.ones(()),
        "high": np.ones((), np.float32) * np.float32(6),
    }
    constants = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    return model(nodes, [floats("x", "N", 3, 14, 11)], [floats("y", "N", CLASSES)], constants)


def test_onnx_operators_compute_what_onnx_says(tmp_path: Path) -> None:
    proto = image_model()
    samples = np.random.default_rng(4).standard_normal((3, 3, 14, 11)).astype(np.float32)
    (want,) = ReferenceEvaluator(proto).run(None, {"x": samples})
    tensor = TensorSpec("x", (3, 14, 11), "float32")

    found = answers_of(spec_of(save(proto, tmp_path), tensor), samples)

    np.testing.assert_allclose(
        np.asarray(found, np.float32), np.asarray(want), rtol=1e-5, atol=1e-6
    )


def test_the_order_in_a_file_does_not_matter(tmp_path: Path) -> None:
    proto = image_model()
    samples = np.random.default_rng(4).standard_normal((3, 3, 14, 11)).astype(np.float32)
    tensor = TensorSpec("x", (3, 14, 11), "float32")
    want = answers_of(spec_of(save(proto, tmp_path), tensor), samples)
    proto.graph.node.reverse()

    found = answers_of(spec_of(save(proto, tmp_path), tensor), samples)

    np.testing.assert_array_equal(found, want)


class Alive(TorchDispatchMode):  # type: ignore[misc]  # torch may be absent, then it has no types
    """Counts the tensors that operators made, and that still live when the next one runs."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[weakref.ref[object]] = []
        self.most = 0

    def __torch_dispatch__(
        self, call: Callable[..., object], types: object, args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:  # fmt: skip
        self.most = max(self.most, sum(made() is not None for made in self._made))
        found = call(*args, **(kwargs or {}))
        self._made.append(weakref.ref(found))
        return found


def test_a_value_is_gone_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    # The first value is read again by the last node; of all others one is there at a time.
    names = ["first", *(f"v{k}" for k in range(8)), "last"]
    chain = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(["x", *names])]
    nodes = [*chain, helper.make_node("Add", ["first", "last"], ["y"])]
    path = save(model(nodes, [floats("x", "N", 4)], [floats("y", "N", 4)], {}), tmp_path)
    module = OnnxModule(path)

    with Alive() as alive:
        (found,) = module(torch.ones(2, 4))

    assert found.tolist() == [[2.0] * 4] * 2
    assert alive.most <= 3  # the first, what a node reads, and what the one before made


def test_a_model_made_fp16_answers_almost_as_before(tmp_path: Path) -> None:
    whole, half = Path(save(image_model(), tmp_path)), tmp_path / "half.onnx"
    convert(whole, half, "fp16")
    samples = np.random.default_rng(4).standard_normal((3, 3, 14, 11)).astype(np.float32)
    tensor = TensorSpec("x", (3, 14, 11), "float32")
    want = answers_of(spec_of(str(whole), tensor), samples)

    found = answers_of(spec_of(str(half), tensor), samples)

    np.testing.assert_allclose(found.astype(np.float32), want.astype(np.float32), atol=2e-3)
    assert not np.array_equal(found, want)


# Axes after the batch of an operator's y, where it has others than x.
RANKS = {"Reshape": 2, "ReduceMax": 1, "ReduceMean": 2, "Squeeze": 1, "Unsqueeze": 5}


def forecaster_cases() -> dict[str, tuple[list[NodeProto], dict[str, Array]]]:
    """Return the same as operator_cases, of networks that forecast."""
    node = helper.make_node
    random = np.random.default_rng(8)

    def weights(*shape: int) -> Array:
        return random.standard_normal(shape).astype(np.float32)

    axes: dict[str, Array] = {"axes": np.array([1, -1], np.int64)}
    flat: Array = np.array([0, 24, 5], np.int64)
    steps = [
        node("Reshape", ["x", "flat"], ["rows"]),
        node("Transpose", ["rows"], ["steps"], perm=[1, 0, 2]),
    ]
    sizes = {"w": (1, 12, 5), "r": (1, 12, 3), "b": (1, 24)}
    lstm = {"flat": flat, **{name: weights(*size) for name, size in sizes.items()}}
    names = list(sizes)
    back = node("Transpose", ["all"], ["y"], perm=[2, 0, 1, 3])
    return {
        "Elu": ([node("Elu", ["x"], ["y"], alpha=0.7)], {}),
        "LayerNormalization": (
            [node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1, epsilon=1e-3)],
            {"s": weights(5), "b": weights(5)},
        ),
        "LSTM": ([*steps, node("LSTM", ["steps", *names], ["all"], hidden_size=3), back], lstm),
        "LSTM with states": (
            [
                *steps,
                node("LSTM", ["steps", *names], ["", "h", "c"], hidden_size=3),
                node("LSTM", ["steps", "w", "r", "", "", "h", "c"], ["all"], hidden_size=3),
                back,
            ],
            lstm,
        ),
        "ReduceMean": ([node("ReduceMean", ["x"], ["y"], axes=[-2], keepdims=0)], {}),
        "ReduceSum": ([node("ReduceSum", ["x", "axes"], ["y"])], axes),
        "Selu": ([node("Selu", ["x"], ["y"])], {}),
        "Selu as Elu": ([node("Selu", ["x"], ["y"], alpha=1.0, gamma=1.0)], {}),
        "Squeeze": (
            [node("ReduceSum", ["x", "axes"], ["s"]), node("Squeeze", ["s", "axes"], ["y"])], axes,
        ),
        "Unsqueeze": ([node("Unsqueeze", ["x", "axes"], ["y"])], axes),
    }  # fmt: skip


# Cases of operators that name their axes only from version 18 of ONNX's operators on.
OF_SOME_AXES = {"Pad of one axis", "Resize, linear, half_pixel", "Resize, linear, align_corners"}


def image_cases() -> dict[str, tuple[list[NodeProto], dict[str, Array]]]:
    """Return the same as operator_cases, of networks that see images."""
    node = helper.make_node
    random = np.random.default_rng(9)
    norm = {name: random.uniform(0.5, 2, 4).astype(np.float32) for name in ("s", "b", "m", "v")}
    pads = {"pads": np.array([0, 1, 0, 2, 0, 0, 3, 1], np.int64), "with": np.float32(1.5)}
    rows = {"pads": np.array([1, 2], np.int64), "rows": np.array([-2], np.int64)}
    sizes = {"sizes": np.array([9, 4], np.int64)}
    pooled: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 1]}
    cases: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
        "AveragePool": ([node("AveragePool", ["x"], ["y"], **pooled)], {}),
        "AveragePool, padded": (
            [node("AveragePool", ["x"], ["y"], pads=[1, 1, 1, 1], **pooled)], {},
        ),
        "AveragePool, padded unevenly": (
            [node("AveragePool", ["x"], ["y"], pads=[0, 1, 1, 0], count_include_pad=1, **pooled)],
            {},
        ),
        "Abs, Neg": ([node("Abs", ["x"], ["a"]), node("Neg", ["a"], ["y"])], {}),
        "Less": (
            [node("Less", ["x", "s"], ["less"]), node("Cast", ["less"], ["y"], to=1)],
            {"s": np.float32(0.3)},
        ),
        "ReduceMax": ([node("ReduceMax", ["x"], ["y"], axes=[1, 3], keepdims=0)], {}),
        "BatchNormalization": (
            [node("BatchNormalization", ["x", *norm], ["y"], epsilon=1e-3)], norm,
        ),
        "LeakyRelu": ([node("LeakyRelu", ["x"], ["y"], alpha=0.2)], {}),
        "Pad": ([node("Pad", ["x", *pads], ["y"])], pads),
        "Pad of one axis": ([node("Pad", ["x", "pads", "", "rows"], ["y"])], rows),
    }  # fmt: skip
    for place in ("half_pixel", "align_corners"):
        made = node(
            "Resize", ["x", "", "", "sizes"], ["y"],
            axes=[2, 3], mode="linear", coordinate_transformation_mode=place,
        )  # fmt: skip
        cases[f"Resize, linear, {place}"] = ([made], sizes)
    return cases


def operator_cases() -> dict[str, tuple[list[NodeProto], dict[str, Array]]]:
    """Return nodes from x [N, 4, 6, 5] to y, one operator in each case, and their constants."""
    node = helper.make_node
    shape = np.array([0, 2, -1], np.int64)
    halves = [node("Split", ["x", "sizes"], ["a", "b"], axis=1), node("Sub", ["b", "a"], ["y"])]
    equal = [node("Split", ["x"], ["a", "b"], axis=2), node("Div", ["b", "a"], ["y"])]
    window = {"starts": [1, -4], "ends": [2**62, -1], "axes": [1, 3], "steps": [2, 1]}
    scales = np.array([1, 1, 2, 3], np.float32)
    doubled = node(
        "Resize", ["x", "", "scales"], ["y"],
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    held = numpy_helper.from_array(np.array([2.5], np.float32))
    return {
        **forecaster_cases(),
        **image_cases(),
        "Concat": ([node("Concat", ["x", "x"], ["y"], axis=-1)], {}),
        "Constant": ([node("Constant", [], ["c"], value=held), node("Mul", ["x", "c"], ["y"])], {}),
        "Constant of a number": (
            [node("Constant", [], ["c"], value_float=2.5), node("Add", ["x", "c"], ["y"])], {},
        ),
        "Reshape": ([node("Reshape", ["x", "shape"], ["y"])], {"shape": shape}),
        "Resize": ([doubled], {"scales": scales}),
        "Resize as by default": ([node("Resize", ["x", "", "scales"], ["y"])], {"scales": scales}),
        "Sigmoid": ([node("Sigmoid", ["x"], ["y"])], {}),
        "Slice": (
            [node("Slice", ["x", *window], ["y"])],
            {name: np.array(value, np.int64) for name, value in window.items()},
        ),
        "Split": (halves, {"sizes": np.array([2, 2], np.int64)}),
        "Split into equal parts": (equal, {}),
        "Transpose": ([node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])], {}),
    }  # fmt: skip


@pytest.mark.parametrize("case", operator_cases())
def test_an_operator_computes_what_onnx_runtime_computes(tmp_path: Path, case: str) -> None:
    nodes, constants = operator_cases()[case]
    open_axes = floats("y", "N", *["?"] * RANKS.get(case, 3))
    proto = model(nodes, [floats("x", "N", 4, 6, 5)], [open_axes], constants)
    if case in OF_SOME_AXES:
        proto.opset_import[0].version = 18
    path = save(proto, tmp_path)
    samples = np.random.default_rng(6).standard_normal((3, 4, 6, 5)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    found = answers_of(spec_of(path, TensorSpec("x", (4, 6, 5), "float32")), samples)

    np.testing.assert_allclose(
        found.astype(np.float32), session.run(None, {"x": samples})[0], rtol=1e-6, atol=3e-6
    )


def test_a_whole_detector_answers_as_onnx_runtime_does(tmp_path: Path) -> None:
    yolo11.write(tmp_path / "n.onnx", 0, "float32", "n", 64)
    samples = np.random.default_rng(7).random((2, 3, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    spec = spec_of(str(tmp_path / "n.onnx"), TensorSpec("images", (3, 64, 64), "float32"))
    engine = open_engine(spec)

    (found,) = engine.infer_arrays({"images": samples})

    (want,) = session.run(None, {"images": samples})
    np.testing.assert_allclose(np.asarray(found, np.float32)[:, :4], want[:, :4], atol=0.05)
    np.testing.assert_allclose(
        np.asarray(found, np.float32)[:, 4:], want[:, 4:], rtol=0.02, atol=1e-6
    )
    engine.close()


@pytest.fixture
def forecaster(tmp_path: Path) -> tuple[Path, dict[str, Array], NDArray[np.float32]]:
    """Return a small Temporal Fusion Transformer, samples, and what ONNX Runtime answers."""
    path = tmp_path / "tft.onnx"
    sizes = tft.Sizes(8, 2, 5, 3, {tft.STATIC: (7,)}, {tft.KNOWN: 2, tft.OBSERVED: 1})
    tft.write(path, 0, "float32", sizes)
    random = np.random.default_rng(7)
    samples: dict[str, Array] = {
        "static_categorical": random.integers(0, 7, (3, 1)),
        "known_continuous": random.standard_normal((3, 8, 2)).astype(np.float32),
        "observed_continuous": random.standard_normal((3, 5, 1)).astype(np.float32),
    }
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return path, samples, np.asarray(session.run(None, samples)[0], np.float32)


@pytest.mark.parametrize("form", ["ONNX", "TorchScript"])
def test_a_whole_forecaster_answers_as_onnx_runtime_does(
    forecaster: tuple[Path, dict[str, Array], NDArray[np.float32]], form: str
) -> None:
    path, samples, want = forecaster
    inputs = [TensorSpec(name, x.shape[1:], x.dtype.name) for name, x in samples.items()]
    if form == "TorchScript":
        script = path.with_suffix(".pt")
        save_onnx_as_script(path, script, inputs)
        path = script
    engine = open_engine(spec_of(str(path), *inputs))

    (found,) = engine.infer_arrays(samples)

    np.testing.assert_allclose(np.asarray(found, np.float32), want, atol=1e-5)
    engine.close()


def test_a_compiled_clip_behind_a_convolution_answers_the_same(tmp_path: Path) -> None:
    bounds: dict[str, Array] = {
        "low": np.array(-0.5, np.float32),
        "high": np.array([0.75], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Clip", ["c", *bounds], ["y"]),
    ]
    weights = np.random.default_rng(2).standard_normal((3, 4, 1, 1)).astype(np.float32)
    path = save(
        model(nodes, [floats("x", "N", 4, 6, 5)], [floats("y", "N", 3, 6, 5)],
              {"w": weights, **bounds}),
        tmp_path,
    )  # fmt: skip
    tensor = TensorSpec("x", (4, 6, 5), "float32")
    samples = np.random.default_rng(6).standard_normal((3, 4, 6, 5)).astype(np.float32)
    want = np.clip(np.einsum("oc,nchw->nohw", weights[..., 0, 0], samples), -0.5, 0.75)

    found = answers_of(spec_of(path, tensor, compile="inductor", graph_sizes="3"), samples)

    np.testing.assert_allclose(found.astype(np.float32), want, atol=1e-5)


def test_a_compiled_lstm_stays_whole_and_answers_the_same(tmp_path: Path) -> None:
    nodes, constants = forecaster_cases()["LSTM with states"]
    open_axes = floats("y", "N", "?", "?", "?")
    path = save(model(nodes, [floats("x", "N", 4, 6, 5)], [open_axes], constants), tmp_path)
    samples = np.random.default_rng(6).standard_normal((3, 4, 6, 5)).astype(np.float32)
    tensor = TensorSpec("x", (4, 6, 5), "float32")
    want = answers_of(spec_of(path, tensor), samples)

    found = answers_of(spec_of(path, tensor, compile="inductor", graph_sizes="3"), samples)

    np.testing.assert_allclose(found.astype(np.float32), want.astype(np.float32), atol=1e-6)


# Refusals


def test_nodes_that_read_one_another_in_a_circle_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"]), helper.make_node("Relu", ["y"], ["b"])]
    path = save(model(nodes, [floats("x", "N", 4)], [floats("y", "N", 4)], {}), tmp_path)

    with pytest.raises(EngineError, match="in a circle"):
        open_engine(spec_of(path, TensorSpec("x", (4,), "float32")))


def test_a_node_that_reads_what_nothing_gives_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "lost"], ["y"], name="sum")]
    path = save(model(nodes, [floats("x", "N", 4)], [floats("y", "N", 4)], {}), tmp_path)

    with pytest.raises(EngineError, match=r'"sum" of type Add reads "lost"'):
        open_engine(spec_of(path, TensorSpec("x", (4,), "float32")))


def test_an_lstm_of_two_directions_is_refused(tmp_path: Path) -> None:
    nodes, constants = forecaster_cases()["LSTM"]
    nodes[2].attribute.append(helper.make_attribute("direction", "bidirectional"))
    path = save(
        model(nodes, [floats("x", "N", 4, 6, 5)], [floats("y", "N", "?", "?", "?")], constants),
        tmp_path,
    )

    with pytest.raises(EngineError, match=r"not one layer forward in time .*direction"):
        open_engine(spec_of(path, TensorSpec("x", (4, 6, 5), "float32")))


def test_a_shape_that_is_computed_while_the_model_runs_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["shape"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["w", "shape"], ["y"], name="odd"),
    ]
    weights = {"w": np.ones(4, np.float32)}
    proto = model(nodes, [floats("x", 2)], [floats("y", "N", "M")], weights)

    with pytest.raises(EngineError, match=r'"odd" of type Reshape computes its shape'):
        open_engine(spec_of(save(proto, tmp_path), TensorSpec("x", (2,), "float32")))


@pytest.mark.parametrize(
    ("kind", "attributes", "constants", "said"),
    [
        ("Resize", {"mode": "cubic"}, {"scales": [1, 1, 2, 2]}, "Resize in mode cubic"),
        ("Pad", {"mode": "reflect"}, {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}, "Pad in mode reflect"),
        (
            "AveragePool",
            {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]},
            {},
            r"AveragePool that pads \[0, 0, 1, 1\]",
        ),
        (
            "AveragePool",
            {"kernel_shape": [2, 2], "ceil_mode": 1},
            {},
            "of type AveragePool has ceil_mode 1",
        ),
        ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1}, {}, "of type MaxPool has ceil_mode"),
    ],
)
def test_what_an_operator_cannot_do_is_refused(
    tmp_path: Path, kind: str, attributes: Any, constants: dict[str, list[int]], said: str
) -> None:
    left_out = [""] if kind == "Resize" else []
    node = helper.make_node(kind, ["x", *left_out, *constants], ["y"], **attributes)
    dtype = np.float32 if kind == "Resize" else np.int64
    held = {name: np.array(value, dtype) for name, value in constants.items()}
    proto = model([node], [floats("x", "N", *SHAPE)], [floats("y", "N", "?", "?", "?")], held)

    with pytest.raises(EngineError, match=said):
        open_engine(spec_of(save(proto, tmp_path)))


def test_an_operator_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Erf", ["x"], ["y"], name="odd")]
    proto = model(nodes, [floats("x", "N", *SHAPE)], [floats("y", "N", *SHAPE)])
    path = save(proto, tmp_path)

    with pytest.raises(EngineError, match=r'"odd" of type Erf'):
        open_engine(spec_of(path))


def test_a_file_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x00no model at all")

    with pytest.raises(EngineError, match=r"not an ONNX model"):
        open_engine(spec_of(str(path)))


def test_an_archive_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.zeros(3)}, path)

    with pytest.raises(EngineError, match=r"weights\.pt: .*jit\.save"):
        open_engine(spec_of(str(path)))


def test_another_input_than_the_benchmark_feeds_is_refused(tmp_path: Path) -> None:
    path = save(linear(), tmp_path)

    with pytest.raises(EngineError, match='has no input "image"'):
        open_engine(spec_of(path, TensorSpec("image", SHAPE, "float32")))


def test_a_batch_axis_that_is_fixed_is_refused(tmp_path: Path) -> None:
    path = save(linear(batch=1), tmp_path)

    with pytest.raises(EngineError, match='"x" is fixed to 1'):
        open_engine(spec_of(path))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"graph_sizes": "1,7"}, '"graph_sizes" is "1,7"'),
        ({"precision": "int8"}, "model, fp16"),
        ({"grpah_sizes": "1"}, 'Did you mean "graph_sizes"'),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    tmp_path: Path, options: dict[str, OptionValue], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        open_engine(spec_of(save(linear(), tmp_path), **options))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises((EngineError, ConfigError), match="device 0: "):
        open_engine(replace(spec_of(save(linear(), tmp_path)), device="0"))


@pytest.mark.parametrize("precision", ["model", "fp16", "bf16"])
def test_pixels_are_normalised_in_float32_whatever_the_model_computes_in(
    tmp_path: Path, precision: str
) -> None:
    mean = np.linspace(100, 130, SHAPE[0], dtype=np.float32)[:, None, None]
    normalizing = Normalizing("x", mean, np.full((), 58.4, np.float32))
    passing = model(
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("MatMul", ["y", "w"], ["z"])],
        [floats("x", "N", *SHAPE)],
        [floats("y", "N", *SHAPE), floats("z", "N", *SHAPE)],
        {"w": np.eye(SHAPE[-1], dtype=np.float32)},
    )
    attach(passing, normalizing)
    pixels = np.random.default_rng(4).integers(0, 256, (CAP, *SHAPE), np.uint8)
    fed = replace(INPUT, dtype="uint8")
    engine = open_engine(spec_of(save(passing, tmp_path), fed, precision=precision))

    _, found = engine.infer_arrays({"x": pixels})

    exact = torch.from_numpy(normalizing.of(pixels))
    kind = {"model": exact.dtype, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    np.testing.assert_array_equal(found.astype(np.float32), exact.to(kind).float().numpy())
    engine.close()
