"""HOTA, IDF1 and MOTA of tracks against others: ground truth, or a run with interval 0.

The package `trackers` computes them as TrackEval does. Sources: Luiten et al., HOTA, IJCV 2021;
Ristani et al., Performance Measures and a Data Set, ECCV Workshops 2016 (IDF1); Bernardin and
Stiefelhagen, Evaluating Multiple Object Tracking Performance, 2008 (MOTA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.video.track.overlap import overlaps
from sut.video.track.package import package
from sut.video.types import NO_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from sut.video.accuracy.tracks import Tracks
    from sut.video.types import Boxes

    Pair = tuple[Tracks, Tracks]

THRESHOLD = 0.5  # overlap from which MOTA and IDF1 count a box; HOTA takes the mean of 19


@dataclass(frozen=True, slots=True)
class TrackAccuracy:
    """How right tracks are; shares are 1 at best, MOTA may be negative.

    Attributes:
        hota: higher order tracking accuracy, the mean over thresholds from 0.05 to 0.95.
        det_a: HOTA's part of the detections.
        ass_a: HOTA's part of the identities.
        idf1: harmonic mean of the precision and the recall of identities.
        mota: 1 - (misses + false boxes + switches) / true boxes.
        switches: how often an object's identity changed.
        misses: true boxes that no box overlaps enough.
        false_boxes: boxes that overlap no true one enough.
        true_boxes: of all frames.
        frames: that were judged, in all streams.
    """

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    mota: float
    switches: int
    misses: int
    false_boxes: int
    true_boxes: int
    frames: int


def judge(pairs: Sequence[Pair]) -> TrackAccuracy | None:
    """Judge streams together, as TrackEval combines sequences.

    Only boxes of one class can be the same object, where the truth has classes. A box without an
    identity is not judged. Frames from the end of the truth on are not judged either: a clip that
    is played again is judged once.

    Args:
        pairs: truth and what was found, of each stream.

    Returns:
        None if the truths hold no object, so that there is nothing to judge.

    Raises:
        ConfigError: the package `trackers` is not installed.
    """
    evaluation = package("trackers.eval")
    sequences = [_sequence(truth, found) for truth, found in pairs]
    true_boxes = sum(len(ids) for truth, _, _ in sequences for ids in truth)
    if true_boxes == 0:
        return None
    hota = _combined(evaluation, "hota", sequences)
    clear = _combined(evaluation, "clear", sequences, threshold=THRESHOLD)
    identity = _combined(evaluation, "identity", sequences, threshold=THRESHOLD)
    return TrackAccuracy(
        hota=float(hota["HOTA"]),
        det_a=float(hota["DetA"]),
        ass_a=float(hota["AssA"]),
        idf1=float(identity["IDF1"]),
        mota=float(clear["MOTA"]),
        switches=int(clear["IDSW"]),
        misses=int(clear["CLR_FN"]),
        false_boxes=int(clear["CLR_FP"]),
        true_boxes=true_boxes,
        frames=sum(truth.count for truth, _ in pairs),
    )


def _combined(evaluation: Any, kind: str, sequences: Iterable[Any], **options: float) -> Any:
    """Return a kind of metrics of all streams together, as a dict."""
    compute = getattr(evaluation, f"compute_{kind}_metrics")
    combine = getattr(evaluation, f"aggregate_{kind}_metrics")
    return combine([compute(*sequence, **options) for sequence in sequences])


def _sequence(
    truth: Tracks, found: Tracks
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]], list[NDArray[np.float64]]]:
    """Return identities of truth and found, and overlaps, of each frame, as the package wants."""
    true_ids, found_ids, similar = [], [], []
    plain = found.as_labelled_as(truth)
    for number in range(truth.count):
        one, other = _with_identity(truth.at(number)), _with_identity(plain.at(number))
        shares = overlaps(one.xyxy.astype(np.float64), other.xyxy.astype(np.float64))
        shares[one.label[:, None] != other.label[None]] = 0
        true_ids.append(one.identity)
        found_ids.append(other.identity)
        similar.append(shares.astype(np.float64))
    return true_ids, found_ids, similar


def _with_identity(boxes: Boxes) -> Boxes:
    return boxes.take(boxes.identity != NO_IDENTITY)
