"""What trackers cost: processor time of one core for a frame, by tracker and number of objects.

    python -m tests.benchmarks.tracker [FRAMES]

Objects walk steadily over a frame of 1920 x 1080 and now and then are not detected. The trackers
take turns, frame by frame; every second frame is not inferred, so that both kinds of frame are in
the table: median and 99th percentile, in ms. Those of the package `trackers` take part if it is
installed: pip install -e '.[video]'.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError
from sut.video.track.interval import is_inferred
from sut.video.track.presets import TRACKERS, open_tracker
from sut.video.types import Boxes, Pixels, boxes_of
from tests.benchmarks import paired

if TYPE_CHECKING:
    from collections.abc import Sequence

OBJECTS = (10, 50, 200)
HEIGHT, WIDTH = 1080, 1920
SEEN = 0.95  # share of the objects that a frame's detections hold
BOUND_MS = 1.0  # of max_perf with 50 objects


def main(frames: int = 300) -> None:
    """Print the table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pixels = Pixels.of(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    print(f"{paired.machine()}\n{paired.command('tests.benchmarks.tracker')}")
    rows = []
    names = [name for name in TRACKERS if is_here(name)]
    for count in OBJECTS:
        times = measured(names, count, frames, pixels)
        for name in dict.fromkeys(name for name, _ in times):
            inferred, skipped = times[name, True], times[name, False]
            rows.append([name, str(count), *figures(inferred), *figures(skipped)])
    header = ["tracker", "objects", "inferred p50 ms", "p99", "skipped p50 ms", "p99"]
    print(f"\n{paired.table(header, rows)}")
    worst = next(float(row[3]) for row in rows if row[:2] == ["max_perf", "50"])
    print(f"\nmax_perf, 50 objects: p99 {worst:.3f} ms a frame; the aim is below {BOUND_MS:g} ms")


def measured(
    names: Sequence[str],
    count: int,
    frames: int,
    pixels: Pixels,
) -> dict[tuple[str, bool], list[float]]:
    """Return processor times in ms, by tracker and whether the frame was inferred."""
    trackers = {name: open_tracker(name, 30) for name in names}
    walk = Walk(count)
    times: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for number in range(frames):
        boxes = walk.boxes(number) if is_inferred(number, 1) else None
        for name, tracker in trackers.items():
            start_ns = time.process_time_ns()
            tracker.update(boxes, pixels)
            times[name, boxes is not None].append(1e-6 * (time.process_time_ns() - start_ns))
    return times


def is_here(name: str) -> bool:
    """Say whether a tracker can be opened; print why not."""
    try:
        open_tracker(name, 30)
    except ConfigError as error:
        print(f"{name} is left out: {error}")
        return False
    return True


class Walk:
    """Objects that walk steadily and come in again on the other side."""

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(count)
        self._corners = self._random.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
        self._steps = self._random.uniform(-4, 4, (count, 2))
        self._sizes = self._random.uniform((30, 80), (70, 160), (count, 2))

    def boxes(self, number: int) -> Boxes:
        """Return what a detector sees of a frame."""
        corners = (self._corners + number * self._steps) % (WIDTH, HEIGHT)
        corners += self._random.normal(0, 1, corners.shape)
        seen = self._random.random(len(corners)) < SEEN
        xyxy = np.concatenate([corners, corners + self._sizes], axis=1)[seen].astype(np.float32)
        score = self._random.uniform(0.6, 1, len(xyxy)).astype(np.float32)
        return boxes_of(xyxy, score, np.zeros(len(xyxy), np.int64))


def figures(times: list[float]) -> list[str]:
    """Return median and 99th percentile."""
    return [f"{value:.3f}" for value in np.percentile(times, [50, 99])]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
