"""What an interval costs in accuracy, by tracker, on boxes of real people without their pixels.

    python -m tests.benchmarks.tracker_accuracy

The ground truth of TUD-Campus and TUD-Stadtmitte (71 and 179 frames, 25 a second) is made into
detections: places off by 2 pixels, 5 % missed, a false box in every fifth frame. Each tracker sees
one frame in k + 1. It needs pip install -e '.[video]' and pip install --no-deps
motmetrics==1.4.0. Trackers that look at pixels see none here: the camera stands still.
"""

from __future__ import annotations

import sys

import numpy as np

from data.packages import package_path
from sut.base.errors import SutError
from sut.video.accuracy.metrics import judge
from sut.video.accuracy.precision import mean_average_precision
from sut.video.accuracy.tracks import Tracks, read_tracks
from sut.video.track.interval import is_inferred
from sut.video.track.presets import open_tracker
from sut.video.types import Boxes, Pixels, boxes_of
from tests.benchmarks import paired

SEQUENCES = ("TUD-Campus", "TUD-Stadtmitte")
TRACKERS = ("max_perf", "sort", "perf", "ocsort", "accuracy")
INTERVALS = (0, 1, 3, 10)
RATE = 25.0
OFF_PX, MISSED, FALSE = 2.0, 0.05, 0.2
IMAGE = Pixels.of(np.zeros((480, 640, 3), np.uint8))


def main() -> int:
    """Print the table; return the exit code."""
    try:
        truths = [truth_of(name) for name in SEQUENCES]
        rows = [row_of(name, interval, truths) for name in TRACKERS for interval in INTERVALS]
    except SutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{paired.machine()}\n{paired.command('tests.benchmarks.tracker_accuracy')}\n")
    print(paired.table(["tracker", "k", "mAP", "HOTA", "IDF1", "MOTA", "switches"], rows))
    return 0


def truth_of(sequence: str) -> Tracks:
    """Return the boxes of a sequence."""
    return read_tracks(package_path("motmetrics==1.4.0", f"motmetrics/data/{sequence}/gt.txt"))


def row_of(name: str, interval: int, truths: list[Tracks]) -> list[str]:
    """Return a line of the table."""
    pairs = [(truth, tracked(name, interval, truth, seed)) for seed, truth in enumerate(truths)]
    found, precision = judge(pairs), mean_average_precision(pairs)
    assert found is not None, "there are people"
    shares = [precision or 0.0, found.hota, found.idf1, found.mota]
    return [name, str(interval), *(f"{share:.3f}" for share in shares), str(found.switches)]


def tracked(name: str, interval: int, truth: Tracks, seed: int) -> Tracks:
    """Return what a tracker makes of detections of the truth; the same for the same seed."""
    tracker, generator = open_tracker(name, RATE), np.random.default_rng(seed)
    found = {}
    for number in range(truth.count):
        boxes = detected(truth.at(number), generator)
        found[number] = tracker.update(boxes if is_inferred(number, interval) else None, IMAGE)
    return Tracks(found, truth.count, has_labels=False)


def detected(true: Boxes, generator: np.random.Generator) -> Boxes:
    """Return what a detector sees of a frame."""
    kept = true.xyxy[generator.random(len(true)) >= MISSED]
    near = kept + generator.normal(0, OFF_PX, kept.shape)
    corner = generator.uniform((0, 0), (560, 320), (int(generator.random() < FALSE), 2))
    false = np.concatenate([corner, corner + generator.uniform(40, 160, corner.shape)], axis=1)
    xyxy = np.concatenate([near, false]).astype(np.float32)
    score = generator.uniform(0.7, 1, len(xyxy)).astype(np.float32)
    return boxes_of(xyxy, score, np.zeros(len(xyxy), np.int64))


if __name__ == "__main__":
    sys.exit(main())
