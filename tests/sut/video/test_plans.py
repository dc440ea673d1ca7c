"""What opens a pipeline's stages: of its file, or as the command line says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from tests.sut.video.made import detect, write_pipeline

if TYPE_CHECKING:
    from pathlib import Path


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
