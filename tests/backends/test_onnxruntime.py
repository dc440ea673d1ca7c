"""The onnxruntime backend: the contract, what it refuses to load, and what it says then."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from backends.base import EngineSpec, TensorSpec, open_engine
from backends.onnxruntime.session import providers
from backends.rows import gather
from sut.base.errors import ConfigError, EngineError
from tests.backends.conformance import (
    BackendTestCase,
    SeveralInputsTestCase,
    SpawnTestCase,
    make_samples,
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
    weights,
)

if TYPE_CHECKING:
    from onnx import ModelProto

    from backends.base import Array, Arrays, OptionValue

INPUT = TensorSpec("x", SHAPE, "float32")
ONE_THREAD: dict[str, OptionValue] = {"intra_op_threads": 1}


def spec_of(path: str | None, tensor: TensorSpec = INPUT, max_batch_size: int = 6) -> EngineSpec:
    return EngineSpec("onnxruntime", path, (tensor,), None, max_batch_size, options=ONE_THREAD)


def refusal(spec: EngineSpec) -> str:
    with pytest.raises(EngineError) as caught:
        open_engine(spec)
    assert_one_line(caught.value, spec)
    return str(caught.value)


def assert_one_line(error: EngineError, spec: EngineSpec) -> None:
    assert "\n" not in str(error)
    assert str(spec.model_path) in str(error)


class TestOneThreadContract(SpawnTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(save(linear(), tmp_path))

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestTwoThreadsUnoptimizedContract(BackendTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        options: dict[str, OptionValue] = {
            "intra_op_threads": 2,
            "inter_op_threads": 2,
            "graph_optimization": "disabled",
            "execution_mode": "parallel",
            "allow_spinning": False,
            "arena": False,
        }
        return replace(spec_of(save(linear(), tmp_path)), output_name="best", options=options)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])[::-1]


class TestThreeInputsContract(SeveralInputsTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(save(three(), tmp_path)), inputs=THREE)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


def one_row_inside() -> ModelProto:
    """Return a model that declares an open batch axis and takes one row only."""
    nodes = [
        helper.make_node("Reshape", ["x", "one_row"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    constants: dict[str, Array] = {"one_row": np.array([1, weights().shape[0]]), "w": weights()}
    return model(nodes, [floats("x", "N", *SHAPE)], [floats("y", "M", CLASSES)], constants)


# Models that fit


def test_the_named_output_comes_first(tmp_path: Path) -> None:
    engine = open_engine(replace(spec_of(save(linear(), tmp_path)), output_name="best"))

    assert [output.name for output in engine.outputs] == ["best", "logits"]


def test_a_model_for_one_image_may_answer_with_as_many_rows_as_it_found(tmp_path: Path) -> None:
    """As MLPerf's RetinaNet: boxes [k, 4] without a batch axis."""
    constants = {"floor": np.array(0.0, np.float32)}
    nodes = [
        helper.make_node("Greater", ["x", "floor"], ["above"]),
        helper.make_node("NonZero", ["above"], ["places"]),
        helper.make_node("Transpose", ["places"], ["found"], perm=[1, 0]),
    ]
    found = helper.make_tensor_value_info("found", TensorProto.INT64, ["k", 4])
    path = save(model(nodes, [floats("x", 1, *SHAPE)], [found], constants), tmp_path)
    engine = open_engine(spec_of(path, max_batch_size=1))
    samples = np.zeros((2, *SHAPE), np.float32)
    samples[1, 0, 1, 1:3] = 1
    engine.bind({"x": samples})

    assert engine.infer([0])[0].shape == (0, 4)
    assert engine.infer([1])[0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 2]]
    engine.close()


def test_a_model_with_a_fixed_batch_axis_runs_batches_of_one(tmp_path: Path) -> None:
    samples = np.ones((3, *SHAPE), np.float32)
    engine = open_engine(spec_of(save(linear(batch=1), tmp_path), max_batch_size=1))

    engine.bind({"x": samples})

    np.testing.assert_array_equal(engine.infer([2])[0], linear_answers(samples)[0][2:])
    assert engine.facts["batch_axis"] == "fixed"


def test_an_axis_that_the_model_leaves_open_has_the_size_of_the_benchmark(tmp_path: Path) -> None:
    path = save(linear(shape=("C", "H", 4)), tmp_path)

    assert open_engine(spec_of(path)).inputs == (INPUT,)


def test_an_axis_that_the_benchmark_leaves_open_has_the_size_of_the_model(tmp_path: Path) -> None:
    path = save(linear(), tmp_path)

    assert open_engine(spec_of(path, replace(INPUT, shape=(2, None, None)))).inputs == (INPUT,)


def test_outputs_without_a_declared_shape_are_described(tmp_path: Path) -> None:
    anything = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    relu = helper.make_node("Relu", ["x"], ["y"])
    engine = open_engine(
        spec_of(save(model([relu], [floats("x", "N", *SHAPE)], [anything]), tmp_path))
    )

    engine.bind({"x": np.ones((2, *SHAPE), np.float32)})

    assert len(engine.outputs[0].shape) == len(SHAPE)
    assert engine.infer([0, 1])[0].shape == (2, *SHAPE)


@pytest.mark.parametrize(
    ("dtype", "precision"), [(np.float32, "fp32"), (np.float16, "fp16"), (np.float64, "fp64")]
)
def test_the_precision_is_that_of_the_weights(
    dtype: type[np.generic], precision: str, tmp_path: Path
) -> None:
    path = save(linear(dtype=dtype), tmp_path)
    tensor = replace(INPUT, dtype=np.dtype(dtype).name)

    assert open_engine(spec_of(path, tensor)).facts["precision"] == precision


def test_the_precision_of_quantized_weights_is_int8(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wide"]),
        helper.make_node("MatMul", ["flat", "wide"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "w": weights().astype(np.int8),
        "scale": np.array(0.5, np.float32),
        "zero": np.array(0, np.int8),
    }
    quantized = model(nodes, [floats("x", "N", *SHAPE)], [floats("y", "N", CLASSES)], constants)

    assert open_engine(spec_of(save(quantized, tmp_path))).facts["precision"] == "int8"


def test_the_precision_of_a_model_without_weights_is_that_of_its_input(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    path = save(model([relu], [floats("x", "N", *SHAPE)], [floats("y", "N", *SHAPE)]), tmp_path)

    assert open_engine(spec_of(path)).facts["precision"] == "fp32"


def test_the_facts_name_the_run_of_the_model(tmp_path: Path) -> None:
    facts = open_engine(spec_of(save(linear(), tmp_path))).facts

    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["intra_op_threads"] == 1
    assert facts["batch_axis"] == "open"
    assert facts["simulated"] is False


# Rows


@pytest.mark.parametrize("rows", [[0], [4], [1, 2, 3], (3, 4), range(5)])
def test_rows_that_follow_each_other_are_not_copied(rows: list[int]) -> None:
    samples = np.arange(10.0).reshape(5, 2)

    batch = gather(samples, rows, np.empty((5, 2)))

    assert np.shares_memory(batch, samples)
    np.testing.assert_array_equal(batch, samples[list(rows)])


@pytest.mark.parametrize("rows", [[1, 0], [0, 2], [3, 3], [0, 0, 2], [0, 3, 1, 3], [4, 2, 0]])
def test_other_rows_are_gathered_in_the_staging_buffer(rows: list[int]) -> None:
    samples = np.arange(10.0).reshape(5, 2)
    staging = np.empty((5, 2))

    batch = gather(samples, rows, staging)

    assert np.shares_memory(batch, staging)
    np.testing.assert_array_equal(batch, samples[rows])


# Files that cannot be loaded


def test_no_file_is_refused() -> None:
    with pytest.raises(EngineError, match="ONNX file"):
        open_engine(spec_of(None))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(spec_of(str(tmp_path / "none.onnx")))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in refusal(spec_of(str(tmp_path)))


def test_a_device_is_refused() -> None:
    assert "is a device or a pipe" in refusal(spec_of("/dev/null"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"no model at all", "incomplete"),
        (b"\x08\x07", "incomplete"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Run git lfs pull"),
        (b"PK\x03\x04...", "Export the model to ONNX"),
        (b"\x80\x02}q", "PyTorch"),
        (b"<!DOCTYPE html>", "Download the model again"),
    ],
)
def test_a_file_that_is_no_model_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    assert message in refusal(spec_of(str(path)))


def test_a_file_of_onnxruntimes_own_format_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    path.write_bytes(b"damaged")

    assert "verification failed" in refusal(spec_of(str(path)))


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_random_bytes_are_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(content)

        refusal(spec_of(str(path)))


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_model_opens_or_is_refused(data: st.DataObject) -> None:
    content = bytearray(linear().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(content)

        try:
            open_engine(spec_of(str(path))).close()
        except EngineError as error:  # any other error fails the test
            assert_one_line(error, spec_of(str(path)))


def test_a_model_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    content = linear().SerializeToString()

    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        assert "cannot load it" in refusal(spec_of(str(path)))


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    content = linear(batch="batch").SerializeToString()
    path.write_bytes(content.replace(b"batch", b"\x97atch"))

    assert "damaged" in refusal(spec_of(str(path)))


def test_weights_in_a_file_that_is_missing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()

    text = refusal(spec_of(str(path)))

    assert "weights.bin" in text
    assert "beside the model" in text


def test_an_opset_of_the_future_is_refused(tmp_path: Path) -> None:
    made = linear()
    made.opset_import[0].version = 999

    text = refusal(spec_of(save(made, tmp_path)))

    assert "Opset 999" in text
    assert "lower opset" in text
    assert "/onnxruntime_src" not in text


def test_an_ir_version_of_the_future_is_refused(tmp_path: Path) -> None:
    made = linear()
    made.ir_version = 999

    text = refusal(spec_of(save(made, tmp_path)))

    assert "IR version: 999" in text
    assert "older onnx" in text


@pytest.mark.parametrize(
    ("domain", "remedy"),
    [
        ("", "opset"),
        ("my.own", "standard operators"),
    ],
)
def test_an_unknown_operator_is_refused(domain: str, remedy: str, tmp_path: Path) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain=domain)
    made = model([node], [floats("x", "N", *SHAPE)], [floats("y", "N", *SHAPE)])
    made.opset_import.extend([helper.make_opsetid(domain, 1)] * bool(domain))

    text = refusal(spec_of(save(made, tmp_path)))

    assert "Frobnicate" in text
    assert remedy in text


def test_onnxruntime_itself_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refusal(spec_of(save(one_row_inside(), tmp_path)))
    engine = open_engine(spec_of(save(linear(), tmp_path)))
    engine.bind({"x": np.ones((3, *SHAPE), np.float32)})
    engine.infer([0, 2])
    engine.close()

    assert capfd.readouterr() == ("", "")


# Models that do not fit the benchmark


def test_another_input_name_is_refused(tmp_path: Path) -> None:
    text = refusal(spec_of(save(linear(), tmp_path), replace(INPUT, name="X")))

    assert 'no input "X"' in text
    assert 'Did you mean "x"?' in text


def test_another_output_name_is_refused(tmp_path: Path) -> None:
    spec = replace(spec_of(save(linear(), tmp_path)), output_name="logit")

    text = refusal(spec)

    assert '"logits", "best"' in text
    assert 'Did you mean "logits"?' in text


def test_an_input_that_the_benchmark_does_not_feed_is_refused(tmp_path: Path) -> None:
    add = helper.make_node("Add", ["x", "z"], ["y"])
    inputs = [floats("x", "N", *SHAPE), floats("z", "N", *SHAPE)]
    path = save(model([add], inputs, [floats("y", "N", *SHAPE)]), tmp_path)

    text = refusal(spec_of(path))

    assert '2 inputs ("x", "z")' in text
    assert 'Name "z" in the benchmark too' in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "idz"}, r'no input "idz"; its inputs are "ids", "mask", "values".*mean "ids"'),
        ({"dtype": "int32"}, r'input "ids" takes int64, but the benchmark feeds int32'),
        ({"shape": (7,)}, r'input "ids" takes \[\?, 6\] int64.*\[N, 7\] int64'),
    ],
)
def test_one_of_several_inputs_that_does_not_fit_is_named(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    inputs = (replace(THREE[0], **changed), *THREE[1:])

    text = refusal(replace(spec_of(save(three(), tmp_path)), inputs=inputs))

    assert re.search(said, text)


def test_an_input_of_one_number_a_sample_is_fed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["n", "axis"], ["column"]),
        helper.make_node("Mul", ["x", "column"], ["y"]),
    ]
    inputs = [floats("x", "N", 3), floats("n", "N")]
    proto = model(nodes, inputs, [floats("y", "N", 3)], {"axis": np.array([1])})
    fed = (TensorSpec("x", (3,), "float32"), TensorSpec("n", (), "float32"))
    spec = replace(spec_of(save(proto, tmp_path)), inputs=fed)
    samples = make_samples(spec, seed=2)
    engine = open_engine(spec)
    engine.bind(samples)

    for rows in ([4], [2, 9, 2]):
        want = np.multiply(samples["x"][rows], samples["n"][rows, None])
        np.testing.assert_array_equal(engine.infer(rows)[0], want)
    engine.close()


def test_inputs_are_fed_by_name_in_whatever_order_the_benchmark_has(tmp_path: Path) -> None:
    spec = replace(spec_of(save(three(), tmp_path)), inputs=THREE[::-1])
    samples = make_samples(spec, seed=1)
    engine = open_engine(spec)
    engine.bind(samples)

    found = engine.infer([3, 1])

    assert engine.inputs == THREE[::-1]
    for answer, want in zip(found, three_answers(**samples), strict=True):
        np.testing.assert_array_equal(answer, want[[3, 1]])
    engine.close()


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    text = refusal(spec_of(save(linear(), tmp_path), replace(INPUT, dtype="uint8")))

    assert "feeds uint8" in text


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    text = helper.make_tensor_value_info("x", TensorProto.STRING, ["N", 2])
    same = helper.make_tensor_value_info("y", TensorProto.STRING, ["N", 2])
    path = save(model([helper.make_node("Identity", ["x"], ["y"])], [text], [same]), tmp_path)

    assert '"x" is tensor(string)' in refusal(spec_of(path))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (1, 2, 3, 4)])
def test_another_shape_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    text = refusal(spec_of(save(linear(), tmp_path), replace(INPUT, shape=shape)))

    assert "takes [?, 2, 3, 4] float32" in text
    assert f"the benchmark feeds [N, {', '.join(map(str, shape))}] float32" in text


def test_the_other_layout_is_named(tmp_path: Path) -> None:
    text = refusal(spec_of(save(linear(), tmp_path), replace(INPUT, shape=(3, 4, 2))))

    assert "layout" in text


def test_an_axis_that_nobody_states_is_refused(tmp_path: Path) -> None:
    path = save(linear(shape=("C", 3, 4)), tmp_path)

    text = refusal(spec_of(path, replace(INPUT, shape=(None, 3, 4))))

    assert "in the benchmark" in text


@pytest.mark.parametrize(
    ("batch", "max_batch_size", "remedy"),
    [
        (1, 8, "set max_batch_size to 1"),
        (8, 8, "open batch axis"),
        (8, 1, "open batch axis"),
    ],
)
def test_a_fixed_batch_axis_is_refused(
    batch: int, max_batch_size: int, remedy: str, tmp_path: Path
) -> None:
    text = refusal(spec_of(save(linear(batch=batch), tmp_path), max_batch_size=max_batch_size))

    assert f"is fixed to {batch}, but batches of 1 to max_batch_size {max_batch_size}" in text
    assert remedy in text


def test_a_batch_size_inside_the_graph_is_refused_before_the_run(tmp_path: Path) -> None:
    path = save(one_row_inside(), tmp_path)

    assert "part of the graph" in refusal(spec_of(path))
    assert open_engine(spec_of(path, max_batch_size=1)).max_batch_size == 1


def test_an_output_without_a_row_for_each_sample_is_refused(tmp_path: Path) -> None:
    total = helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)
    path = save(model([total], [floats("x", "N", *SHAPE)], [floats("y", 1, *SHAPE)]), tmp_path)

    text = refusal(spec_of(path))

    assert '"y" is [1, 2, 3, 4]' in text


def test_a_failure_inside_a_batch_names_the_model(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "one", "one"], ["first"]),
        helper.make_node("Cast", ["first"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "table": np.arange(3, dtype=np.float32),
    }
    lookup = model(nodes, [floats("x", "N", *SHAPE)], [floats("y", "N", 1)], constants)
    path = save(lookup, tmp_path)
    engine = open_engine(spec_of(path))
    engine.bind({"x": np.full((2, *SHAPE), 9, np.float32)})

    with pytest.raises(EngineError, match=r"model\.onnx: .*Gather"):
        engine.infer([0, 1])


# Options and devices


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"intra_op_thread": 1},
            '"intra_op_thread".*"intra_op_threads"',
        ),
        ({"intra_op_threads": 0}, '"intra_op_threads" is 0'),
        ({"inter_op_threads": "2"}, "is '2'"),
        ({"arena": 1}, '"arena" is 1'),
        ({"graph_optimization": "al"}, '"all"'),
        ({"execution_mode": True}, "sequential, parallel"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    options: dict[str, OptionValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"onnxruntime backend: option .*{message}"):
        open_engine(replace(spec_of("any.onnx"), options=options))


def test_a_device_is_the_cpu_or_the_index_of_a_gpu() -> None:
    assert [name for name, _ in providers("cpu")] == ["CPUExecutionProvider"]
    assert providers("3")[0] == ("CUDAExecutionProvider", {"device_id": "3"})
    with pytest.raises(ConfigError, match=r'"gpu".*"cpu"'):
        providers("gpu")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this onnxruntime can use a GPU",
)
def test_a_gpu_that_onnxruntime_cannot_use_is_refused_and_not_replaced(tmp_path: Path) -> None:
    spec = replace(spec_of(save(linear(), tmp_path)), device="0")

    with pytest.raises(EngineError, match=r"CUDAExecutionProvider.*use device cpu"):
        open_engine(spec)


@pytest.mark.slow
def test_onnxruntime_is_imported_when_an_engine_opens_and_its_absence_is_explained() -> None:
    program = (
        "import sys\n"
        "import backends.onnxruntime.engine\n"
        "from backends.base import EngineSpec, TensorSpec, open_engine\n"
        "assert not {'onnx', 'onnxruntime'} & set(sys.modules)\n"
        "sys.modules['onnxruntime'] = None\n"
        "fed = (TensorSpec('x', (1,), 'float32'),)\n"
        "open_engine(EngineSpec('onnxruntime', 'm', fed, None, 1))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode != 0
    assert "ConfigError" in done.stderr
    assert "pip install onnxruntime" in done.stderr
