"""A clip whose objects are known, through decoder, engines, tracker and crops: exact."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.video.clips.rig import write_rig
from sut.video.clips.synthetic import Scene
from sut.video.clips.write import write_clip
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Play, Stages
from sut.video.flow.settings import PlaySettings
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from sut.video.sources.choose import Decoding, open_each
from sut.video.track.interval import is_inferred
from sut.video.track.presets import open_tracker
from tests.sut.video.made import Keeping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sut.video.flow.seen import Seen

pytest.importorskip("av", reason="the package av is not installed")

SCENE = Scene(96, 64, frames=16, objects=4)
STREAMS = 2
DTYPES = {"floats": "float32", "pixels": "uint8"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip; beside it lies the pipeline that knows it."""
    path = tmp_path_factory.mktemp("exact") / "boxes.mkv"
    write_clip(path, (SCENE.image(number) for number in range(SCENE.frames)), 30)
    return path


@pytest.fixture(scope="module")
def processes() -> Iterator[ReaderProcesses]:
    with ReaderProcesses(2) as started:
        yield started


@pytest.fixture(scope="module", params=["floats", "pixels"])
def stages(clip: Path, request: pytest.FixtureRequest) -> Iterator[Stages]:
    pipeline = load_pipeline(str(write_rig(SCENE, clip)[0]))
    overrides = Overrides(backend="onnxruntime", pixels=request.param == "pixels")
    plans = stage_plans(pipeline, overrides)
    assert {plan.workload.inputs[0].dtype for plan in plans} >= {DTYPES[request.param]}
    with Stages(plans, warm_up_s=0.01) as opened:
        yield opened


@pytest.mark.parametrize("readers", [0, 1, 2])
@pytest.mark.parametrize("interval", [0, 3])
def test_detections_identities_and_crops_of_the_clip_are_exact(
    clip: Path, stages: Stages, processes: ReaderProcesses, interval: int, readers: int
) -> None:
    sink = Keeping()
    opens = [
        partial(open_each, [str(clip)] * (STREAMS // (readers or 1)), Decoding())
        for _ in range(readers or 1)
    ]

    sources = processes.open(opens) if readers else opens[0]()
    streams = [(source, open_tracker("max_perf", 30)) for source in sources]
    settings = PlaySettings(interval=interval)
    Play(stages, settings, streams, sink, processes if readers else None).run()

    for stream in range(STREAMS):
        frames = sink.seen[stream]
        assert [seen.frame.number for seen in frames] == list(range(SCENE.frames))
        given: dict[int, set[int]] = defaultdict(set)
        for seen in frames:
            number = seen.frame.number
            assert seen.inferred == is_inferred(number, interval)
            if seen.inferred:
                check_frame(seen, number)
                for true, got in zip(
                    SCENE.boxes(number).identity, seen.boxes.identity, strict=True
                ):
                    given[int(true)].add(int(got))
        assert sorted(given) == list(range(SCENE.objects))
        assert len(set.union(*given.values())) == SCENE.objects
        assert all(len(identities) == 1 for identities in given.values())


def check_frame(seen: Seen, number: int) -> None:
    """Compare detections and crops with what the frame shows."""
    truth = SCENE.boxes(number)
    # Records of boxes are fractions in float32, which are exact to 1e-7 of a side.
    np.testing.assert_allclose(seen.boxes.xyxy, truth.xyxy, rtol=0, atol=1e-7 * SCENE.width)
    np.testing.assert_array_equal(seen.boxes.label, truth.label)
    told = seen.found["tell"]
    # A crop with one pixel beside its object would be told impure.
    np.testing.assert_array_equal(told.boxes.label, truth.identity)
    np.testing.assert_array_equal(told.boxes.identity, seen.boxes.identity)
