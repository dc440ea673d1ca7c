"""What opens a pipeline's stages: of its file, or as the command line says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sut.video.flow.play import Stages
from sut.video.flow.stage import facts_of
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from tests.sut.video.made import classify, detect, write_pipeline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("asked", "devices", "stage", "delay"),
    [
        ({"live": True}, ("0",), {}, 8000),
        ({"live": False}, ("0",), {}, "late"),
        ({"live": True}, ("cpu",), {}, "late"),
        ({"live": True}, ("0",), {"max_queue_delay_us": "late"}, "late"),
        ({"live": True, "mux_timeout_us": "late"}, ("0",), {}, "late"),
        ({"live": True, "mux_timeout_us": 500}, ("0",), {}, 500),
    ],
)
def test_live_frames_wait_for_each_other_on_gpus(
    tmp_path: Path,
    asked: dict[str, Any],
    devices: tuple[str, ...],
    stage: dict[str, object],
    delay: int | str,
) -> None:
    pipeline = load_pipeline(str(write_pipeline(tmp_path, [detect(**stage), classify()])))

    first, second = stage_plans(pipeline, Overrides(backend="null", devices=devices, **asked))

    assert first.harness.max_queue_delay_us == delay
    assert second.harness.max_queue_delay_us == "late"


@pytest.mark.parametrize(
    ("backend", "devices", "pixels", "dtype"),
    [
        ("torch", ("0",), None, "uint8"),
        ("torch", ("0", "1"), False, "float32"),
        ("torch", ("cpu",), None, "float32"),
        ("onnxruntime", ("cpu",), True, "uint8"),
        ("null", ("0",), None, "float32"),
    ],
)
def test_models_on_gpus_normalise_pixels_themselves_unless_the_user_says_otherwise(
    tmp_path: Path, backend: str, devices: tuple[str, ...], pixels: bool | None, dtype: str
) -> None:
    pipeline = load_pipeline(str(write_pipeline(tmp_path, [detect()])))

    (plan,) = stage_plans(pipeline, Overrides(backend=backend, devices=devices, pixels=pixels))

    assert plan.workload.inputs[0].dtype == dtype
    assert plan.benchmark.inputs[0].dtype == dtype


def test_results_of_floats_and_of_pixels_are_of_the_same_model(tmp_path: Path) -> None:
    pipeline = load_pipeline(str(write_pipeline(tmp_path, [detect()])))
    told = []

    for pixels in (False, True):
        plans = stage_plans(pipeline, Overrides(backend="onnxruntime", pixels=pixels))
        with Stages(plans, warm_up_s=0.01) as stages:
            told.append(facts_of(stages.all[0]))

    assert [facts["input_dtype"] for facts in told] == ["float32", "uint8"]
    assert told[0]["model_sha256"] == told[1]["model_sha256"]
