"""The cost of a detector's postprocess on one core, and of ways to suppress boxes.

    python -m tests.benchmarks.postprocess [ROUNDS]

Three made images of 8,400 candidates and 80 classes, at the yolo benchmark's confidence of 0.001
and at most 300 boxes: scores as a trained detector gives them, scores of which nearly all are above
the limit, and a crowd of one class. The ways take turns, ROUNDS times each; the table has median
and best in ms of processor time, which a busy machine disturbs little. OpenCV takes part if it is
installed (pip install opencv-python-headless).
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from data.benchmark import load_benchmark
from data.tasks.base import Frames
from data.tasks.detection.suppression import Limits, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Way = Callable[[Floats, Floats, NDArray[np.intp]], object]

CANDIDATES, CLASSES, SIDE = 8400, 80, 640
IOU, MOST = 0.7, 300
LIMITS = Limits(IOU, MOST, 2.0 * SIDE)


def main(rounds: int = 30) -> None:
    """Print both tables."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    heads = {"trained": trained(), "all above": all_above(), "one class": one_class()}
    print(f"{CANDIDATES} candidates x {CLASSES} classes, one core, {rounds} rounds\n")
    print(f"{'postprocess yolo11l':22} {'dtype':8} {'boxes':>5} {'median ms':>9} {'best ms':>8}")
    make = load_benchmark("yolo11l").postprocess.records(Frames(SIDE, SIDE))
    for name, head in heads.items():
        for dtype in (np.float32, np.float16):
            outputs = (head[None].astype(dtype),)
            count = len(make(outputs, [0])[0])
            times = timed({"": partial(make, outputs, [0])}, rounds)[""]
            print(f"{name:22} {np.dtype(dtype).name:8} {count:5} {figures(times)}")
    print(f"\n{'suppression alone':22} {'way':8} {'kept':>5} {'median ms':>9} {'best ms':>8}")
    for name, head in heads.items():
        calls = {way: partial(call, *picked(head)) for way, call in ways().items()}
        for way, times in timed(calls, rounds).items():
            kept = len(np.asarray(calls[way]()))
            print(f"{name:22} {way:8} {min(kept, MOST):5} {figures(times)}")


def trained() -> Floats:
    """Return a head with thirty objects, near each of which many candidates see it."""
    generator = np.random.default_rng(1)
    scores = generator.beta(0.02, 60, (CLASSES, CANDIDATES))
    centres, sizes = (
        generator.uniform(0, SIDE, (2, CANDIDATES)),
        generator.uniform(8, 200, (2, CANDIDATES)),
    )
    near = generator.choice(CANDIDATES, 1500, replace=False)
    places, extents = generator.uniform(60, SIDE - 60, (2, 30)), generator.uniform(30, 250, (2, 30))
    of = generator.integers(0, 30, len(near))
    centres[:, near] = places[:, of] + generator.normal(0, 6, (2, len(near)))
    sizes[:, near] = extents[:, of] * generator.uniform(0.85, 1.15, (2, len(near)))
    scores[of % 12, near] = generator.beta(0.5, 3, len(near))
    return np.concatenate([centres, sizes, scores]).astype(np.float32)


def all_above() -> Floats:
    """Return a head of places, sizes and scores without any order."""
    generator = np.random.default_rng(2)
    centres, sizes = (
        generator.uniform(0, SIDE, (2, CANDIDATES)),
        generator.uniform(5, 200, (2, CANDIDATES)),
    )
    scores = generator.beta(0.05, 20, (CLASSES, CANDIDATES))
    return np.concatenate([centres, sizes, scores]).astype(np.float32)


def one_class() -> Floats:
    """Return a head whose boxes are all of one class and overlap."""
    head = all_above()
    head[5:] = 0
    head[4] = np.random.default_rng(3).uniform(0.001, 1, CANDIDATES)
    return head


def picked(head: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return corners, scores and classes of what is above the confidence."""
    best = head[4:].max(axis=0)
    rows = np.flatnonzero(best > 0.001)
    centre, half = head[:2, rows].T, head[2:4, rows].T / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return boxes, best[rows], head[4:, rows].argmax(axis=0)


def ways() -> Mapping[str, Way]:
    """Return the ways to suppress, by name."""
    found: dict[str, Way] = {
        "onnxrt": lambda boxes, scores, classes: suppress(boxes, scores, classes, LIMITS),
        "numpy": by_numpy,
    }
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return found
    cv2.setNumThreads(1)

    def by_opencv(boxes: Floats, scores: Floats, classes: NDArray[np.intp]) -> object:
        corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        return cv2.dnn.NMSBoxesBatched(
            corner_and_size.astype(float), scores, classes.astype(np.int32), 0.0, IOU
        )

    return {**found, "opencv": by_opencv}


def by_numpy(boxes: Floats, scores: Floats, classes: NDArray[np.intp]) -> list[int]:
    """Suppress in vectorised NumPy: blocks against what is kept, and against themselves."""
    order = np.argsort(-scores, kind="stable")
    moved = boxes[order] + (classes[order] * 4096.0).astype(np.float32)[:, None]
    kept: list[int] = []
    chosen = np.empty((0, 4), np.float32)
    block = 256
    for start in range(0, len(moved), block):
        part, places = (
            moved[start : start + block],
            np.arange(start, min(start + block, len(moved))),
        )
        free = ~overlap(chosen, part).any(axis=0)
        part, places = part[free], places[free]
        same = overlap(part, part)
        alive = np.ones(len(part), bool)
        for row in range(len(part)):
            if alive[row]:
                alive[row + 1 :] &= ~same[row, row + 1 :]
        kept += order[places[alive]].tolist()
        chosen = np.concatenate([chosen, part[alive]])
        if len(kept) >= MOST:
            break
    return kept[:MOST]


def overlap(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Say which pairs overlap by more than IOU."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    sides = np.minimum(one[:, None, 2:], other[None, :, 2:]) - low
    both = np.maximum(sides[..., 0], 0) * np.maximum(sides[..., 1], 0)
    areas = [(part[:, 2:] - part[:, :2]).prod(axis=1) for part in (one, other)]
    return np.asarray(both > IOU * (areas[0][:, None] + areas[1][None] - both))


def timed(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return times in ms; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started_ns = time.process_time_ns()
            call()
            times[name].append(1e-6 * (time.process_time_ns() - started_ns))
    return times


def figures(times: list[float]) -> str:
    """Return median and best."""
    return f"{statistics.median(times):9.2f} {min(times):8.2f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
