"""How close a pipeline comes to its slowest stage alone: `make bench-video`.

Two pipelines, each with four streams of a clip of 640x360 that moves, the first model on every
frame: real people on the CPU (`people`), and a person and a face stage that only take time. Before
and after each play, each stage runs alone, so that a busy machine slows both. It also says by how
much, at most, the parts of a frame's time miss its latency.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sut.base.errors import DataError
from sut.base.process import before_others, collect_new_alone
from sut.video.alone import ceilings, decode_alone
from sut.video.clips.people import film, find_people
from sut.video.clips.synthetic import Scene
from sut.video.clips.write import write_clip
from sut.video.flow.play import Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.seen import NullSink
from sut.video.flow.settings import PlaySettings
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from sut.video.run import VideoRequest, play
from sut.video.sources.choose import Decoding, open_sources
from tests.benchmarks import paired
from tests.benchmarks.paired import Measured, Pair
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.flow.play import Stages as Opened

MODULE = "tests.benchmarks.video"
STREAMS, SIZE, FRAMES, RATE = 4, (640, 360), 100, 25
LEAST, MOST_MS = 0.9, 1.0
SIMULATED = {
    "name": "simulated",
    "stages": [
        {
            "name": "person",
            "benchmark": "ssd-mobilenet",
            "backend": "simulated",
            "max_batch_size": 4,
            "backend_options": {"base_ms": 20, "per_sample_ms": 30},
            "classes": {"person": 1},
            "pretend": {"boxes": 2},
        },
        {
            "name": "face",
            "benchmark": "mobilenet",
            "backend": "simulated",
            "max_batch_size": 8,
            "backend_options": {"base_ms": 10, "per_sample_ms": 5},
            "crops": {"of": "person", "classes": ["person"]},
        },
    ],
}


def main() -> int:
    """Measure, and print the table. It never fails for a slow machine."""
    arguments = paired.arguments(MODULE, __doc__, rounds=3, seconds=4.0)
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    before_others()
    collect_new_alone()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "simulated.yaml").write_text(yaml.safe_dump(SIMULATED), "utf-8")
        clip = folder / "clip.mp4"
        write_clip(clip, _frames(), RATE)
        for pipeline in ("people", str(folder / "simulated.yaml")):
            try:
                pairs = _pairs(pipeline, str(clip), arguments.rounds, arguments.seconds)
            except DataError as error:  # the package with the model is not installed
                print(f"{pipeline} is left out: {error}")
                continue
            rows.append(_row(Path(pipeline).stem, pairs))
    print("\n" + paired.table(HEADER, rows))
    print(
        f"median [least - largest] of {arguments.rounds} rounds of {arguments.seconds:g} s; "
        f"{STREAMS} streams of {SIZE[0]}x{SIZE[1]}; at least {LEAST} of the slowest stage and at "
        f"most {MOST_MS:g} ms unaccounted are wanted"
    )
    return 0


def _frames() -> Iterator[NDArray[np.uint8]]:
    """Yield walking people where a package carries them, else boxes that move."""
    try:
        yield from islice(film(find_people(), *SIZE), FRAMES)
    except DataError:
        scene = Scene(*SIZE, FRAMES)
        yield from map(scene.image, range(FRAMES))


def _pairs(name: str, clip: str, rounds: int, seconds: float) -> list[Pair]:
    pipeline = load_pipeline(name)
    plans = stage_plans(pipeline, Overrides())
    settings = PlaySettings(Pacing(depth=4, loop=True), duration_s=seconds + 0.5, lead_s=0.5)
    request = VideoRequest(pipeline, plans, (clip,), STREAMS, Decoding(), settings, "max_perf")
    with Stages(plans) as stages:
        _, result = play(stages, request, NullSink())  # how many samples a frame has
        figures = result["figures"]
        assert isinstance(figures, dict), "made by play"
        frames = figures["frames"]
        samples = {n: each["samples"] / frames for n, each in figures["stages"].items()}
        alone = partial(_slowest, stages, clip, samples, seconds / 4)
        pairs: list[Pair] = []
        for number in range(rounds):
            print(f"{pipeline.spec.name}: round {number + 1} of {rounds} ...", file=sys.stderr)
            pairs += paired.interleave(alone, [lambda _: _played(stages, request)])
    return pairs


def _slowest(stages: Opened, clip: str, samples: dict[str, float], seconds: float) -> float:
    """Return the frames a second of the slowest stage alone."""
    sources = open_sources([clip], STREAMS, Decoding())
    decode = decode_alone(sources, stages.all[0].plan.benchmark, "steps", seconds)
    found = ceilings(stages.all, decode, samples, seconds)
    return found.frames_per_s[found.slowest]


def _played(stages: Opened, request: VideoRequest) -> Measured:
    _, result = play(stages, request, NullSink())
    figures = result["figures"]
    assert isinstance(figures, dict), "made by play"
    lost = figures["taken"] - figures["delivered"] + figures["dropped"]
    facts = {"unaccounted_max_ms": figures["unaccounted_max_ms"], "lost": lost}
    return Measured(figures["fps"], facts)


HEADER = (
    *("pipeline", "frames/s", "slowest alone", "share of it", "unaccounted, ms", "lost frames"),
    *("others' cores", "reached"),
)


def _row(name: str, pairs: list[Pair]) -> tuple[str, ...]:
    others = [pair.others_cores for pair in pairs if pair.others_cores is not None]
    missed = max(_fact(pair, "unaccounted_max_ms") for pair in pairs)
    lost = sum(_fact(pair, "lost") for pair in pairs)
    ratio = paired.Spread.of([pair.ratio for pair in pairs]).median
    return (
        name,
        paired.shown([pair.value for pair in pairs], ",.1f"),
        paired.shown([pair.reference for pair in pairs], ",.1f"),
        paired.shown([pair.ratio for pair in pairs], ".3f"),
        f"{missed:.4f}",
        f"{lost:.0f}",
        f"{max(others):.1f}" if others else "-",
        "yes" if ratio >= LEAST and missed < MOST_MS and not lost else "no",
    )


def _fact(pair: Pair, name: str) -> float:
    value = pair.measured.facts[name]
    assert isinstance(value, int | float), "a figure of a play"
    return float(value)


if __name__ == "__main__":
    sys.exit(tidy(main))
