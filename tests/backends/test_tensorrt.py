"""TensorRT: real plans with TensorRT-RTX, which needs no GPU for it; running them, on a fake."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import EngineSpec, TensorSpec, WeighedEngine, open_engine
from backends.cuda.engine import open_cuda_engine
from backends.cuda.host_driver import HostDriver
from backends.cuda.options import CudaOptions
from backends.ladder import read_sizes
from backends.options import read_options
from backends.tensorrt.builder import BuildRequest, make_plan, plan_path
from backends.tensorrt.engine import load_kernel
from backends.tensorrt.inspection import check_precision, engine_types, inspected_layers
from backends.tensorrt.library import load_library
from backends.tensorrt.log import reason
from backends.tensorrt.options import Options
from backends.tensorrt.plan import (
    Note,
    Plan,
    check_batch,
    check_sm,
    note_path,
    read_plan,
    save_plan,
)
from backends.tensorrt.profiles import Profile, check_profiles, one_profile, parse_profiles
from backends.tensorrt.progress import TOTAL, Phases
from data.convert import tft
from sut.base.errors import ConfigError, EngineError
from sut.base.onnx_pixels import Normalizing, attach
from tests.backends.conformance import SeveralInputsTestCase, SlotsTestCase, SpawnTestCase
from tests.backends.fake_tensorrt import FakePlan, library
from tests.backends.models import (
    SHAPE,
    THREE,
    floats,
    linear,
    linear_answers,
    model,
    save,
    three,
    three_answers,
)

if TYPE_CHECKING:
    from backends.base import Array, Arrays, Engine, OptionValue
    from backends.tensorrt.library import Library

INPUT = TensorSpec("x", SHAPE, "float32")
MEAN, STD = np.full((SHAPE[0], 1, 1), 123.68, np.float32), np.full((), 58.4, np.float32)

NOTE = Note(
    library="tensorrt",
    version="11.4.0.106",
    sm=89,
    model="model.onnx",
    model_sha256="0" * 64,
    inputs=(INPUT,),
    profiles=(Profile(1, 6, 6),),
    builder_level=3,
    workspace_mib=None,
    precision="fp32",
    precision_from="typed network",
    layers={"fp32": 1},
    build_s=1.0,
    plan_sha256="0" * 64,
    plan_bytes=1,
)


def spec_of(path: Path | str, cap: int = 6, **options: OptionValue) -> EngineSpec:
    return EngineSpec("tensorrt", str(path), (INPUT,), None, cap, "0", options, slots=2)


def refusal(call: object, *arguments: object, error: type[Exception] = EngineError) -> str:
    with pytest.raises(error) as caught:
        call(*arguments)  # type: ignore[operator] # a function
    text = str(caught.value)
    assert "\n" not in text
    return text


# Which library


def test_what_is_installed_is_chosen_and_named() -> None:
    pytest.importorskip("tensorrt_rtx")

    found = load_library("tensorrt_rtx")

    assert found.is_rtx
    assert found.choice == f"TensorRT-RTX {found.version} (package tensorrt_rtx)"
    assert {75, 89} <= set(found.targets())


def test_an_unknown_library_is_refused_with_the_nearest() -> None:
    assert 'Did you mean "tensorrt"' in refusal(load_library, "tensort", error=ConfigError)


def test_the_data_centre_library_names_no_targets() -> None:
    assert library().targets() == ()


# Profiles


def test_one_profile_is_tuned_for_the_largest_batch() -> None:
    assert one_profile(32) == (Profile(1, 32, 32),)
    assert one_profile(32, 26) == (Profile(1, 26, 32),)


def test_profiles_are_read_in_any_order() -> None:
    assert parse_profiles("2:16:32, 1:1:1") == (Profile(1, 1, 1), Profile(2, 16, 32))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1:8", "expected MIN:OPT:MAX"),
        ("1:x:8", "expected MIN:OPT:MAX"),
        ("0:1:8", "1 <= MIN <= OPT <= MAX"),
        ("1:9:8", "1 <= MIN <= OPT <= MAX"),
        ("1:1:1,4:8:8", "2 to 3"),
        ("2:4:8", "1 to 1"),
        ("1:4:8,8:8:16", "batch of 8"),
    ],
)
def test_profiles_with_gaps_or_overlaps_are_refused(text: str, said: str) -> None:
    assert said in refusal(parse_profiles, text, error=ConfigError)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_ranges_laid_end_to_end_are_taken_as_they_are(lengths: list[int]) -> None:
    ends = np.cumsum(lengths).tolist()
    ranges = [Profile(end - size + 1, end, end) for end, size in zip(ends, lengths, strict=True)]

    assert check_profiles(ranges[::-1]) == tuple(ranges)


# Progress


@given(st.lists(st.sampled_from(["start", "step", "finish"]), max_size=40), st.integers(1, 5))
def test_progress_never_goes_back_and_ends_at_one(events: list[str], steps: int) -> None:
    phases, seen, open_ = Phases(), [0.0], ["whole"]
    phases.start("whole", None, steps)
    for number, event in enumerate(events):
        if event == "start":
            phases.start(f"{number}", open_[-1], steps)
            open_.append(f"{number}")
        elif event == "step":
            phases.step(open_[-1], number % steps)
        elif len(open_) > 1:
            phases.finish(open_.pop())
        seen.append(phases.fraction())
    for name in reversed(open_):
        phases.finish(name)

    assert seen == sorted(seen)
    assert seen[-1] <= 1.0
    assert phases.fraction() == 1.0


# Messages


def test_a_message_loses_the_places_in_tensorrts_source_and_gains_a_remedy() -> None:
    said = (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing] "
        "Cannot compile operation 'logits' for Turing (SM75): FP32 GEMM is not supported. In "
        "compileGraph at /_src/optimizer/myelin/codeGenerator.cpp:2012)"
    )

    text = reason([said])

    assert "FP32 GEMM" in text
    assert "--precision fp16" in text
    assert ".cpp" not in text
    assert "Error Code" not in text


# Precision


def layer(kind: str, form: str) -> dict[str, object]:
    return {"LayerType": kind, "Inputs": [{"Name": "a", "Format/Datatype": form}]}


def test_the_inspector_counts_layers_that_multiply_by_what_they_read() -> None:
    layers = [
        layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format."),
        layer("CaskConvolution", "Channel major FP16 format where channel % 8 == 0"),
        layer("gemm", "Half"),
        layer("gemm", "Float"),
        layer("Reformat", "Row major linear FP32"),
        {"LayerType": "Constant"},
    ]

    assert engine_types(json.dumps({"Layers": layers})) == {"fp16": 2, "int8": 1, "fp32": 1}


def test_layers_of_an_engine_name_the_nodes_that_were_fused_into_them() -> None:
    said = layer("CaskConvolution", "Int8") | {
        "Name": "conv1 + relu1", "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]",
    }  # fmt: skip

    (found,) = inspected_layers(json.dumps({"Layers": [said, {"LayerType": "Constant"}]}))

    assert (found.name, found.precision) == ("conv1 + relu1", "int8")
    assert found.nodes == ("conv1", "relu1")


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"Layers": ["only a name"]}', "null"])
def test_an_inspector_that_tells_nothing_is_no_proof(said: str) -> None:
    assert engine_types(said) == {}


def test_another_precision_than_the_one_asked_for_is_an_error() -> None:
    check_precision({"fp16": 49, "fp32": 1}, "fp16", "a.plan", "engine inspector")

    text = refusal(check_precision, {"fp32": 50}, "fp16", "a.plan", "engine inspector")

    assert text.startswith("a.plan: ")
    assert "50 fp32" in text
    assert "sut quantize" in text


# Plans on disk


def header(library: Library, tag: bytes = b"ftrt", length: int = 64) -> bytes:
    version = bytes(int(part) for part in library.version.split("."))
    start = tag + bytes(12) + length.to_bytes(8, "little") + version
    return start.ljust(length, b"\0")


@pytest.fixture
def saved(tmp_path: Path) -> Plan:
    content = header(library())
    digest = __import__("hashlib").sha256(content).hexdigest()
    return save_plan(
        tmp_path / "a.plan", content, msgspec.structs.replace(NOTE, plan_sha256=digest)
    )


def test_a_plan_is_read_back_with_its_note(saved: Plan) -> None:
    assert read_plan(saved.path, library()) == replace(saved, cached=True)


def test_a_plan_of_another_version_is_refused(saved: Plan) -> None:
    text = refusal(read_plan, saved.path, library(version="10.13.3.9"))

    assert "tensorrt 10.13.3.9" in text
    assert "sut build" in text


def test_a_plan_of_the_other_library_is_refused(saved: Plan) -> None:
    text = refusal(read_plan, saved.path, library("tensorrt_rtx", "11.4.0.106"))

    assert "tensorrt_rtx 11.4.0.106" in text


def test_a_damaged_plan_is_refused(saved: Plan) -> None:
    saved.path.write_bytes(saved.path.read_bytes()[:-1] + b"x")

    text = refusal(read_plan, saved.path, library())

    assert "sha256" in text
    assert "a.json" in text


def test_a_truncated_plan_of_rtx_without_a_note_is_refused(tmp_path: Path) -> None:
    rtx = library("tensorrt_rtx", "1.7.1.116")
    (tmp_path / "a.plan").write_bytes(header(rtx, b"vtrt")[:-1])

    text = refusal(read_plan, tmp_path / "a.plan", rtx)

    assert "63 bytes; expected 64" in text


@pytest.mark.parametrize("content", [b"", b"ftrt", b"<html>" * 20])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.plan").write_bytes(content)

    assert "is not a TensorRT plan" in refusal(read_plan, tmp_path / "a.plan", library())


def test_a_missing_plan_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(read_plan, tmp_path / "a.plan", library())


def test_a_broken_note_is_refused(saved: Plan) -> None:
    note_path(saved.path).write_text('{"sm": "89"}')

    assert "a.json: cannot be read" in refusal(read_plan, saved.path, library())


def test_a_plan_for_another_architecture_is_refused(saved: Plan) -> None:
    check_sm(saved, 89, "device 0")

    text = refusal(check_sm, saved, 75, "device 0")

    assert "device 0 is SM 75" in text
    assert "--sm 75" in text


def test_a_batch_above_the_profiles_is_refused(saved: Plan) -> None:
    check_batch(saved.path, "x", 6, 6)

    text = refusal(check_batch, saved.path, "x", 6, 7)

    assert "profile above 6" in text
    assert "--max-batch-size 7" in text


# Real plans, with TensorRT-RTX


@pytest.fixture(scope="module")
def rtx() -> Library:
    pytest.importorskip("tensorrt_rtx")
    return load_library("tensorrt_rtx")


def request_for(folder: Path, proto: onnx.ModelProto, **changes: object) -> BuildRequest:
    spec = spec_of(save(proto, folder), cap=changes.pop("cap", 6))  # type: ignore[arg-type] # an int
    fields = {"sm": 89, "profiles": one_profile(6), "folder": folder / "plans", **changes}
    return BuildRequest(spec=spec, **fields)  # type: ignore[arg-type] # the fields of a test


def test_a_plan_is_built_once_and_then_kept(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear(), precision="fp32")

    first = make_plan(request, rtx)
    content = first.path.read_bytes()
    second = make_plan(request, rtx)

    assert (first.cached, second.cached) == (False, True)
    assert second == replace(first, cached=True)
    assert first.note is not None
    assert first.note.layers == {"fp32": 1}
    assert first.note.sm == 89
    assert content[:4] == b"vtrt"
    assert json.loads(note_path(first.path).read_text())["precision"] == "fp32"


def test_the_same_request_has_the_same_key_in_every_folder(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear())
    elsewhere = replace(request, folder=tmp_path / "elsewhere")

    assert plan_path(request, rtx).name == plan_path(elsewhere, rtx).name


@pytest.mark.parametrize(
    "change",
    [
        {"sm": 86},
        {"profiles": one_profile(5)},
        {"profiles": one_profile(6, 5)},
        {"builder_level": 2},
        {"workspace_mib": 64},
    ],
)
def test_whatever_decides_the_plan_is_in_its_key(
    rtx: Library, tmp_path: Path, change: dict[str, object]
) -> None:
    request = request_for(tmp_path, linear())

    assert plan_path(request, rtx) == plan_path(replace(request, precision="fp32"), rtx)
    assert plan_path(request, rtx) != plan_path(replace(request, **change), rtx)  # type: ignore[arg-type] # the fields of a test


def test_another_model_or_version_has_another_key(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear())
    first = plan_path(request, rtx)

    assert plan_path(request, replace(rtx, version="1.7.2.1")) != first
    assert plan_path(request_for(tmp_path, linear(batch="M")), rtx) != first


def test_a_damaged_plan_in_the_cache_is_built_again(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear())
    path = make_plan(request, rtx).path
    path.write_bytes(path.read_bytes()[:-1])

    assert not make_plan(request, rtx).cached
    assert make_plan(request, rtx).cached


def test_several_profiles_and_all_settings_build(rtx: Library, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    request = request_for(
        tmp_path,
        linear(),
        profiles=parse_profiles("1:1:1,2:4:6"),
        builder_level=1,
        workspace_mib=16,
        tf32=True,
    )

    plan = make_plan(request, rtx, lambda done, total: seen.append((done, total)))

    assert plan.note is not None
    assert plan.note.max_batch_size == 6
    assert seen == sorted(seen)
    assert seen[-1] == (TOTAL, TOTAL)


def test_a_plan_with_tf32_is_another_plan(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear())

    assert plan_path(replace(request, tf32=True), rtx) != plan_path(request, rtx)


def test_a_model_for_batches_of_one_needs_no_profile(rtx: Library, tmp_path: Path) -> None:
    plan = make_plan(request_for(tmp_path, linear(batch=1), cap=1), rtx)

    assert plan.note is not None
    assert plan.note.profiles == (Profile(1, 1, 1),)


def test_fp32_for_turing_is_refused_in_one_line(rtx: Library, tmp_path: Path) -> None:
    text = refusal(make_plan, request_for(tmp_path, linear(), sm=75), rtx)

    assert "SM 75" in text
    assert "FP32 GEMM" in text
    assert "--precision fp16" in text
    assert not list((tmp_path / "plans").glob("*.plan"))


def test_fp16_for_turing_builds(rtx: Library, tmp_path: Path) -> None:
    half = linear(dtype=np.float16)
    request = request_for(tmp_path, half, sm=75, precision="fp16")
    spec = replace(request.spec, inputs=(replace(INPUT, dtype="float16"),))

    plan = make_plan(replace(request, spec=spec), rtx)

    assert plan.note is not None
    assert plan.note.layers == {"fp16": 1}


def test_a_model_that_normalises_pixels_builds(rtx: Library, tmp_path: Path) -> None:
    """TensorRT takes uint8 only where a cast reads it."""
    half = linear(dtype=np.float16)
    attach(
        half,
        Normalizing(
            "x", np.full((SHAPE[0], 1, 1), 123.68, np.float32), np.full((), 58.4, np.float32)
        ),
    )
    request = request_for(tmp_path, half, sm=75, precision="fp16")
    spec = replace(request.spec, inputs=(replace(INPUT, dtype="uint8"),))

    plan = make_plan(replace(request, spec=spec), rtx)

    assert plan.note is not None
    assert plan.note.layers == {"fp16": 1}


@pytest.mark.slow
def test_a_small_forecaster_with_a_masked_attention_builds(rtx: Library, tmp_path: Path) -> None:
    """The network of data/convert/tft.py, as small as it can be: its operators are all there."""
    sizes = tft.Sizes(2, 1, 2, 1, {tft.STATIC: (2,)}, {tft.KNOWN: 1, tft.OBSERVED: 1})
    path = tmp_path / "tft.onnx"
    tft.write(path, 0, "float16", sizes)
    inputs = (
        TensorSpec("static_categorical", (1,), "int64"),
        TensorSpec("known_continuous", (3, 1), "float16"),
        TensorSpec("observed_continuous", (2, 1), "float16"),
    )
    spec = EngineSpec("tensorrt", str(path), inputs, None, 6, "0", slots=2)

    plan = make_plan(BuildRequest(spec, 75, one_profile(6), "fp16", folder=tmp_path), rtx)

    assert plan.note is not None
    assert set(plan.note.layers) == {"fp16"}


def test_a_model_in_another_precision_than_asked_for_is_refused(
    rtx: Library, tmp_path: Path
) -> None:
    text = refusal(make_plan, request_for(tmp_path, linear(), precision="fp16"), rtx)

    assert "typed network shows 1 fp32" in text
    assert not list((tmp_path / "plans").glob("*.plan"))


def test_an_architecture_that_cannot_be_named_is_refused(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear(), sm=90)

    assert "it knows 75" in refusal(make_plan, request, rtx, error=ConfigError)


def test_a_builder_level_out_of_range_is_refused(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear(), builder_level=6)

    assert "expected 0 to 5" in refusal(make_plan, request, rtx, error=ConfigError)


def test_what_is_no_onnx_is_refused(rtx: Library, tmp_path: Path) -> None:
    request = request_for(tmp_path, linear())
    (tmp_path / "model.onnx").write_bytes(b"no model")

    assert "model.onnx: TensorRT-RTX" in refusal(make_plan, request, rtx)


def test_an_operator_that_tensorrt_lacks_is_named(rtx: Library, tmp_path: Path) -> None:
    odd = model(
        [onnx.helper.make_node("Bernoulli", ["x"], ["logits"])],
        [floats("x", "N", *SHAPE)],
        [floats("logits", "N", *SHAPE)],
    )

    assert "Bernoulli" in refusal(make_plan, request_for(tmp_path, odd), rtx)


# Running: the contract on the host


def engine_on_host(spec: EngineSpec, plan: FakePlan, made: Library | None = None) -> Engine:
    assert spec.model_path is not None
    options = read_options(spec.options, Options, "tensorrt backend")
    path = Path(spec.model_path)
    # In one step: another thread may read the same file.
    part = path.with_suffix(f".{threading.get_ident()}")
    part.write_bytes(plan.content())
    part.replace(path)
    sizes = read_sizes(options.graph_sizes, spec.max_batch_size, "tensorrt backend")
    kernel = load_kernel(
        Plan(path, NOTE), made or library(), spec, sizes if options.cuda_graphs else ()
    )
    return open_cuda_engine(HostDriver(), kernel, spec, options, str(path))


class OnHost(SlotsTestCase):
    plan = FakePlan()

    @classmethod
    def open(cls, spec: EngineSpec) -> Engine:
        return engine_on_host(spec, cls.plan)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return linear_answers(samples["x"])


class TestGraphs(OnHost, SpawnTestCase):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(tmp_path / "a.plan")


class TestSeveralProfilesWithoutGraphs(OnHost):
    plan = FakePlan(profiles=((1, 1, 1), (2, 3, 4), (5, 8, 8)))

    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return spec_of(tmp_path / "a.plan", cuda_graphs=False)


class TestThreeInputs(SeveralInputsTestCase, OnHost):
    plan = FakePlan(three=True)

    @pytest.fixture
    def spec(self, tmp_path: Path) -> EngineSpec:
        return replace(spec_of(tmp_path / "a.plan"), inputs=THREE)

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return three_answers(**samples)


def test_inputs_with_other_profiles_than_the_first_are_refused(tmp_path: Path) -> None:
    spec = replace(spec_of(tmp_path / "a.plan"), inputs=THREE)

    said = refusal(engine_on_host, spec, FakePlan(three=True, unequal=True))

    assert '"ids", "mask", "values" have other batch sizes' in said


def test_a_plan_of_several_inputs_is_built_with_a_profile_for_each(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    rtx = load_library("tensorrt_rtx")
    spec = replace(spec_of(save(three(), tmp_path)), inputs=THREE)

    plan = make_plan(BuildRequest(spec, 89, one_profile(6), folder=tmp_path), rtx)

    assert plan.note is not None
    assert plan.note.inputs == THREE
    assert note_path(plan.path).read_text().count('"name"') == len(THREE)


def test_the_facts_say_what_runs_and_how_the_precision_is_known(tmp_path: Path) -> None:
    engine = engine_on_host(spec_of(tmp_path / "a.plan"), FakePlan())

    assert engine.facts["provider"] == "tensorrt"
    assert engine.facts["precision"] == "fp32"
    assert engine.facts["precision_from"] == "typed network"
    assert engine.facts["profiles"] == "1:6:6"
    engine.close()


def test_the_engine_says_what_its_activations_take(tmp_path: Path) -> None:
    engine = engine_on_host(spec_of(tmp_path / "a.plan"), FakePlan())

    assert isinstance(engine, WeighedEngine)
    assert engine.memory_bytes()["activations"] == 4096
    engine.close()


def test_what_the_engine_shows_is_believed_more_than_the_note(tmp_path: Path) -> None:
    shown = json.dumps({"Layers": [layer("gemm", "Half")]})
    engine = engine_on_host(spec_of(tmp_path / "a.plan"), FakePlan(information=shown))

    assert engine.facts["precision"] == "fp16"
    assert engine.facts["precision_from"] == "engine inspector"
    engine.close()


def test_rtx_compiles_its_kernels_before_a_graph_is_made(tmp_path: Path) -> None:
    spec, rtx = spec_of(tmp_path / "a.plan"), library("tensorrt_rtx", "1.7.1.116")

    engine = engine_on_host(spec, FakePlan(eager=True), rtx)

    assert engine.facts["provider"] == "tensorrt_rtx"
    engine.close()
    assert "no execution context" in refusal(engine_on_host, spec, FakePlan(eager=True))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (FakePlan(profiles=((1, 4, 4),)), "profile above 4"),
        (FakePlan(fixed_output=True), '"logits" is [1, 5]'),
        (FakePlan(dtype="HALF"), "takes float16"),
        (FakePlan(dtype="BF16"), "NumPy"),
        (FakePlan(fails=True), "batch of 6"),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(tmp_path: Path, plan: FakePlan, said: str) -> None:
    assert said in refusal(engine_on_host, spec_of(tmp_path / "a.plan"), plan)


def test_a_plan_that_tensorrt_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(b"odd")

    text = refusal(load_kernel, Plan(path, NOTE), library(), spec_of(path), ())

    assert f"{path}: TensorRT 11.4.0.106 cannot load it: no plan." in text


# Opening, as far as it goes without a GPU


def test_an_unknown_option_is_refused() -> None:
    spec = spec_of("a.plan", builder_levels=3)

    assert 'Did you mean "builder_level"' in refusal(open_engine, spec, error=ConfigError)


def test_the_options_of_the_cuda_worker_are_options_of_this_backend() -> None:
    assert set(CudaOptions.__dataclass_fields__) < set(Options.__dataclass_fields__)


def test_a_plan_is_checked_before_a_gpu_is_looked_for(rtx: Library, tmp_path: Path) -> None:
    path = make_plan(request_for(tmp_path, linear()), rtx).path

    assert "profile above 6" in refusal(open_engine, spec_of(path, cap=7, library="tensorrt_rtx"))
    content = bytearray(path.read_bytes())
    content[24] += 1
    path.write_bytes(content)
    assert "is installed" in refusal(open_engine, spec_of(path, library="tensorrt_rtx"))
