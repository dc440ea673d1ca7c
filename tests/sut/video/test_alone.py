"""Each stage alone: an engine by its own times, decoders by the frames that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.errors import DataError
from sut.video.alone import ceilings, decode_alone
from sut.video.flow.play import Stages
from tests.sut.video.made import detect, frames, plans, walk, write_pipeline
from tests.sut.video.test_play import Broken

if TYPE_CHECKING:
    from pathlib import Path


def test_an_engine_alone_is_no_faster_than_its_full_batches(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect()])
    plan = plans(path, "simulated", base_ms=4.0, per_sample_ms=1.0)  # 4 samples in 8 ms

    with Stages(plan, warm_up_s=0.01) as stages:
        decode = decode_alone([frames(walk(5))] * 2, plan[0].benchmark, "steps", 0.15)
        found = ceilings(stages.all, decode, {"find": 2.0}, 0.15)

    assert 100 < found.samples_per_s["find"] <= 4 / 0.008 * 1.1
    assert found.frames_per_s["find"] == found.samples_per_s["find"] / 2
    assert found.frames_per_s["decode"] > 1000
    assert found.slowest == "find"


def test_without_clips_decoding_has_no_ceiling(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect()])

    with Stages(plans(path, "null"), warm_up_s=0.01) as stages:
        found = ceilings(stages.all, None, {"find": 1.0}, 0.01)

    assert set(found.frames_per_s) == {"find"}


def test_a_clip_that_cannot_be_decoded_ends_the_measurement(tmp_path: Path) -> None:
    (plan,) = plans(write_pipeline(tmp_path, [detect()]), "null")

    with pytest.raises(DataError, match="frame 4: damaged"):
        decode_alone([Broken(frames(walk(5)))], plan.benchmark, "steps", 0.05)
