"""Models made fp16 and int8: they answer almost the same, and are what their form says."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from backends.base import EngineSpec, TensorSpec, open_engine
from backends.onnxruntime.precision import FORMS, METHODS, Calibration, convert, graph_precision
from sut.base.errors import EngineError
from sut.base.onnx_pixels import Normalizing, attach
from tests.backends.models import floats, model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.base import Array

    Floats = NDArray[np.float32]

SHAPE = (3, 8, 8)
CLASSES = 10
INPUT = TensorSpec("x", SHAPE, "float32")
STD = np.array(58.4, np.float32)
CALIBRATED = [form for form, spec in FORMS.items() if spec.calibrated]


def random(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def samples() -> Floats:
    return random(1, 12, *SHAPE)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolution, batch normalization, ReLU, residual sum, pooling, fully connected."""
    channels = 16
    norm = {name: np.abs(random(k, channels)) for k, name in enumerate(("s", "b", "m", "v"), 5)}
    proto = model(
        [
            helper.make_node("Conv", ["x", "w"], ["conv"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["conv", "s", "b", "m", "v"], ["norm"]),
            helper.make_node("Relu", ["norm"], ["relu"]),
            helper.make_node("Conv", ["relu", "w2"], ["conv2"], pads=[1, 1, 1, 1]),
            helper.make_node("Add", ["relu", "conv2"], ["sum"]),
            helper.make_node("GlobalAveragePool", ["sum"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w3", "b3"], ["logits"]),
        ],
        [floats("x", "N", *SHAPE)],
        [floats("logits", "N", CLASSES)],
        {
            "w": random(2, channels, SHAPE[0], 3, 3),
            "w2": random(3, channels, channels, 3, 3) * np.float32(0.1),
            "w3": random(4, channels, CLASSES),
            "b3": random(9, CLASSES),
            **norm,
        },
    )
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="module")
def made(
    source: Path, samples: Floats, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The model in every form."""
    folder = tmp_path_factory.mktemp("made")
    for form in FORMS:
        convert(source, folder / f"{form}.onnx", form, calibrated_on(samples))
    return {form: folder / f"{form}.onnx" for form in FORMS}


def calibrated_on(samples: Floats, method: str = "minmax") -> Calibration:
    return Calibration(len(samples), lambda index: {"x": samples[index]}, method)


def answers(path: Path, samples: Array, form: str = "fp16", fed: TensorSpec = INPUT) -> Floats:
    spec = EngineSpec("onnxruntime", str(path), (fed,), None, 12, options=FORMS[form].options)
    engine = open_engine(spec)
    engine.bind({"x": samples})
    (found,) = engine.infer(range(len(samples)))
    engine.close()
    return np.asarray(found, np.float32)


def share_of_error(exact: Floats, found: Floats) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def types(path: Path) -> dict[str, set[str]]:
    """Return the types of the constants that reach each kind of node."""
    graph = onnx.load(path).graph
    constants = {held.name: held for held in graph.initializer}
    found: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            if name in constants:
                kind = TensorProto.DataType.Name(constants[name].data_type)
                found.setdefault(node.op_type, set()).add(kind)
    return found


@pytest.mark.parametrize(
    ("form", "most"), [("fp16", 0.002), ("int8-trt", 0.06), ("int8-ort", 0.06)]
)
def test_a_form_answers_almost_as_fp32_does(
    form: str, most: float, source: Path, made: dict[str, Path], samples: Floats
) -> None:
    exact, found = answers(source, samples), answers(made[form], samples, form)

    assert 0 < share_of_error(exact, found) < most


@pytest.mark.parametrize("form", FORMS)
def test_each_node_of_a_form_comes_after_those_that_it_reads(
    form: str, made: dict[str, Path]
) -> None:
    """As ONNX wants it: a runtime that trusts the file's order runs it, too."""
    graph = onnx.load(made[form]).graph
    known = {given.name for given in (*graph.input, *graph.initializer)}
    for node in graph.node:
        assert {name for name in node.input if name} <= known, node.name
        known |= set(node.output)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_keeps_the_inputs_and_outputs(
    form: str, source: Path, made: dict[str, Path]
) -> None:
    before, after = onnx.load(source).graph, onnx.load(made[form]).graph

    for tensors in ("input", "output"):
        assert [tensor.name for tensor in getattr(after, tensors)] == [
            tensor.name for tensor in getattr(before, tensors)
        ]
        (tensor,) = getattr(after, tensors)
        assert tensor.type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_the_precision_that_it_says(form: str, made: dict[str, Path]) -> None:
    assert graph_precision(made[form]) == FORMS[form].precision


def test_a_model_is_fp32_by_its_weights(source: Path) -> None:
    assert graph_precision(source) == "fp32"


def test_int8_for_tensorrt_is_symmetric_and_has_no_quantized_bias(made: dict[str, Path]) -> None:
    graph = onnx.load(made["int8-trt"]).graph
    constants = {held.name: onnx.numpy_helper.to_array(held) for held in graph.initializer}

    zero_points = [
        constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"
    ]
    assert zero_points
    assert all(point.dtype == np.int8 and not point.any() for point in zero_points)
    assert types(made["int8-trt"])["DequantizeLinear"] == {"INT8", "FLOAT16"}
    assert types(made["int8-trt"])["Gemm"] == {"FLOAT16"}  # its bias


def test_int8_for_cpus_has_unsigned_activations(made: dict[str, Path]) -> None:
    assert types(made["int8-ort"])["QuantizeLinear"] == {"UINT8", "FLOAT"}


@pytest.mark.parametrize("form", CALIBRATED)
def test_weights_are_scaled_by_channel_and_batch_normalization_is_gone(
    form: str, made: dict[str, Path]
) -> None:
    graph = onnx.load(made[form]).graph
    sizes = {held.name: held.dims for held in graph.initializer}
    scales = [sizes[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear"]

    assert [16] in scales
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reads_each_sample_once_in_order(
    method: str, source: Path, samples: Floats, tmp_path: Path
) -> None:
    read: list[int] = []
    seen: list[tuple[int, int | None]] = []

    def sample(index: int) -> dict[str, Floats]:
        read.append(index)
        return {"x": np.asarray(samples[index])}

    convert(
        source,
        tmp_path / "a.onnx",
        "int8-ort",
        Calibration(len(samples), sample, method),
        lambda done, total: seen.append((done, total)),
    )

    assert read == list(range(len(samples)))
    assert seen == [(done, len(samples)) for done in range(1, len(samples) + 1)]
    assert graph_precision(tmp_path / "a.onnx") == "int8"


def test_what_is_not_fp32_is_refused(
    made: dict[str, Path], samples: Floats, tmp_path: Path
) -> None:
    for form in FORMS:
        with pytest.raises(EngineError, match=f"is {FORMS[form].precision} already; expected an"):
            convert(made[form], tmp_path / "a.onnx", "int8-ort", calibrated_on(samples))


@pytest.mark.parametrize("form", FORMS)
def test_c1_a_full_disk_is_no_fault_of_the_model(source: Path, samples: Floats, form: str) -> None:
    with pytest.raises(OSError, match="No space left"):
        convert(source, Path("/dev/full"), form, calibrated_on(samples))


def test_samples_that_do_not_fit_are_an_error_in_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.onnx: .*int8-ort") as caught:
        convert(
            source, tmp_path / "a.onnx", "int8-ort", calibrated_on(random(1, 2, 3, 4, 4)[..., 0])
        )

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.onnx").exists()


def test_the_tools_of_onnx_runtime_are_kept_off_the_screen(
    source: Path, samples: Floats, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level

    convert(source, tmp_path / "a.onnx", "int8-ort", calibrated_on(samples, "percentile"))

    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)


def calibration_of(samples: Array) -> Calibration:
    return Calibration(len(samples), lambda index: {"x": samples[index]})


@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_pixels_answers_as_its_form_does_when_fed_with_floats(
    form: str, source: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(9).integers(0, 256, (8, *SHAPE), np.uint8)
    normalizing = Normalizing("x", np.float32(123.68) * np.ones((3, 1, 1), np.float32), STD)
    of_pixels, plain = onnx.load(source), normalizing.of(pixels)
    attach(of_pixels, normalizing)
    onnx.save(of_pixels, tmp_path / "pixels.onnx")

    for name, path, fed in (("a", source, plain), ("b", tmp_path / "pixels.onnx", pixels)):
        convert(path, tmp_path / f"{name}.onnx", form, calibration_of(fed))

    spec = replace(INPUT, dtype="uint8")
    found = answers(tmp_path / "b.onnx", pixels, form, spec)
    np.testing.assert_array_equal(found, answers(tmp_path / "a.onnx", plain, form))
