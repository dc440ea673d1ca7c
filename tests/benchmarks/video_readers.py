"""What readers in processes leave to the interpreter of the first one: `make bench-video`.

Streams at 30 frames/s of made-up sources whose frames cost nothing, with a small and a large first
input, and clips of 1920x1080 as fast as they go. The stage is simulated and takes no time, so only
what surrounds it is measured. Threads (0) and two processes take turns, round after round.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from data.benchmark import FOLDER
from sut.base.errors import DataError
from sut.base.process import before_others, collect_new_alone
from sut.video.clips.people import film, find_people
from sut.video.clips.synthetic import Scene
from sut.video.clips.write import write_clip
from sut.video.figures import figures
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.play import Play, Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.seen import NullSink
from sut.video.flow.settings import PlaySettings
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from sut.video.track.presets import open_tracker
from tests.benchmarks import paired
from tests.benchmarks.free_frames import RATE, clips, made_up
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.flow.reader import Pace
    from sut.video.sources.base import Source

MODULE = "tests.benchmarks.video_readers"
LEAD_S, PROCESSES = 1.0, 2
SMALL, LARGE, CLIP = 8, 300, (1920, 1080)
CLIP_FRAMES = 90


@dataclass(frozen=True, slots=True)
class Case:
    """What is played.

    Attributes:
        name: for the table.
        side: of the first input, in pixels.
        streams: how many.
        opens: opens so many sources; it travels.
        pace: see Pacing.
    """

    name: str
    side: int
    streams: int
    opens: Callable[[int], Sequence[Source]]
    pace: Pace = "live"


def main() -> int:
    """Measure, and print the table. It never fails for a slow machine."""
    arguments = paired.arguments(MODULE, __doc__, rounds=3, seconds=4.0)
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    before_others()
    collect_new_alone()
    rows = []
    with tempfile.TemporaryDirectory() as name, ReaderProcesses(PROCESSES) as processes:
        folder = Path(name)
        clip = folder / "clip.mp4"
        write_clip(clip, _frames(), int(RATE))
        for case in _cases(str(clip)):
            plans = stage_plans(load_pipeline(str(_pipeline(folder, case.side))), Overrides())
            found: dict[int, list[dict[str, Any]]] = {0: [], PROCESSES: []}
            with Stages(plans) as stages:
                for number in range(arguments.rounds):
                    print(f"{case.name}: round {number + 1} ...", file=sys.stderr)
                    for readers, results in found.items():
                        opened = processes if readers else None
                        results.append(_played(stages, case, opened, arguments.seconds))
            rows += [_row(case, readers, results) for readers, results in found.items()]
    print("\n" + paired.table(HEADER, rows))
    print(
        f"median [least - largest] of {arguments.rounds} rounds of {arguments.seconds:g} s, "
        "threads and processes in turn"
    )
    return 0


def _cases(clip: str) -> list[Case]:
    small, large = partial(made_up, SMALL), partial(made_up, LARGE)
    of_clip = partial(clips, clip)
    return [
        Case(f"made up, {SMALL}x{SMALL}", SMALL, 40, small),
        Case(f"made up, {SMALL}x{SMALL}", SMALL, 80, small),
        Case(f"made up, {LARGE}x{LARGE}", LARGE, 20, large),
        Case(f"made up, {LARGE}x{LARGE}", LARGE, 40, large),
        Case("1920x1080, scaled by the decoder, free", LARGE, 4, of_clip, "free"),
    ]


def _frames() -> Iterator[NDArray[np.uint8]]:
    """Yield walking people where a package carries them, else boxes that move."""
    try:
        yield from islice(film(find_people(), *CLIP), CLIP_FRAMES)
    except DataError:
        scene = Scene(*CLIP, CLIP_FRAMES)
        yield from map(scene.image, range(CLIP_FRAMES))


def _pipeline(folder: Path, side: int) -> Path:
    """Write a pipeline of a stage that takes no time and finds three boxes; return its file."""
    benchmark = yaml.safe_load((FOLDER / "pedestrian.yaml").read_text("utf-8"))
    benchmark["input"]["shape"][1:] = [side, side]
    benchmark["preprocess"][0] |= {"height": side, "width": side}
    (folder / f"see-{side}.yaml").write_text(yaml.safe_dump(benchmark), "utf-8")
    stage = {
        "name": "see",
        "benchmark": f"see-{side}.yaml",
        "backend": "simulated",
        "backend_options": {"base_ms": 0.05, "per_sample_ms": 0.001},
        "max_batch_size": 8,
        "classes": {"person": 1},
        "pretend": {"boxes": 3},
    }
    path = folder / f"pipeline-{side}.yaml"
    path.write_text(yaml.safe_dump({"name": "nothing", "stages": [stage]}), "utf-8")
    return path


def _played(
    stages: Stages, case: Case, processes: ReaderProcesses | None, seconds: float
) -> dict[str, Any]:
    """Play once; return the figures."""
    if processes is None:
        sources = case.opens(case.streams)
    else:
        shares = [len(range(k, case.streams, PROCESSES)) for k in range(PROCESSES)]
        sources = processes.open([partial(case.opens, share) for share in shares])
    settings = PlaySettings(
        Pacing(case.pace, RATE, loop=True),
        duration_s=LEAD_S + seconds,
        lead_s=LEAD_S,
        scale="decoder",
    )
    streams = [(source, open_tracker("max_perf", RATE)) for source in sources]
    return figures(Play(stages, settings, streams, NullSink(), processes).run(), stages.all)


HEADER = (
    *("source", "streams", "readers", "frames/s", "slowest stream", "p99, ms"),
    *("CPU a frame, ms", "of it here, ms", "interpreter taken"),
)


def _row(case: Case, readers: int, results: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    def over(figure: Callable[[dict[str, Any]], float], form: str) -> str:
        return paired.shown([figure(result) for result in results], form)

    return (
        *(case.name, str(case.streams), str(readers)),
        over(lambda f: f["fps"], ",.0f"),
        over(lambda f: f["fps_per_stream_worst"], ".1f"),
        over(lambda f: f["latency_p99_ms"], ".0f"),
        over(lambda f: 1e3 * f["cpu_cores"] / f["fps"], ".2f"),
        over(lambda f: 1e3 * (f["cpu_cores"] - f["readers_cpu_cores"]) / f["fps"], ".2f"),
        over(lambda f: f["interpreter_share"] or 0.0, ".0%"),
    )


if __name__ == "__main__":
    sys.exit(tidy(main))
