"""The presets perf and accuracy: trackers of the package `trackers`, an extra.

The package sees only inferred frames, each with its time, which it is made for: its filters step
over the frames between. Those frames are filled here, from what its filters said last: each object
goes on as it moved between its last two inferences.
"""

from __future__ import annotations

import importlib
import inspect
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sut.base.errors import ConfigError
from sut.video.track.overlap import inside
from sut.video.track.parameters import PLAIN, check_parameters
from sut.video.types import NO_IDENTITY, Boxes, no_boxes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from numpy.typing import NDArray

    from sut.video.track.parameters import Plain
    from sut.video.types import Pixels

ALGORITHMS = {
    "sort": "SORTTracker",
    "bytetrack": "ByteTrackTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
}
_SEES_IMAGES = {"botsort"}


class _Seen(NamedTuple):
    """An object at an inference: the frame's number, its filtered box, its movement a frame."""

    frame: int
    box: NDArray[np.float32]
    velocity: NDArray[np.float32]


class PackageTracker:
    """A tracker of the package `trackers`.

    Args:
        preset: as the user wrote it.
        algorithm: of ALGORITHMS.
        parameters: of the package's class; those not named keep the package's own value.
        frame_rate: frames a second of the stream.

    Raises:
        ConfigError: the package is not installed, or a parameter is not one of its own.
    """

    def __init__(
        self, preset: str, algorithm: str, parameters: Mapping[str, object], frame_rate: float
    ) -> None:
        make = getattr(package("trackers"), ALGORITHMS[algorithm])
        self._detections = package("supervision").Detections
        known = _defaults(make)
        check_parameters(algorithm, known, parameters)
        chosen = {**known, **parameters}
        try:
            self._tracker = make(**chosen, frame_rate=frame_rate)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"tracker {algorithm}: {error}. Correct its parameters.") from error
        self._described: dict[str, object] = {
            "preset": preset,
            "algorithm": algorithm,
            "package": f"trackers {metadata.version('trackers')}",
            "parameters": chosen,
        }
        self.sees_pixels = algorithm in _SEES_IMAGES
        self._frame_rate = frame_rate
        self._number = -1
        self._shown = no_boxes()
        self._seen: dict[int, _Seen] = {}

    def describe(self) -> dict[str, object]:
        """See sut.video.types.Tracker."""
        return self._described

    def update(self, boxes: Boxes | None, pixels: Pixels) -> Boxes:
        """See sut.video.types.Tracker; a box that is no object yet has no identity."""
        self._number += 1
        if boxes is None:
            return inside(self._predicted(), pixels.size)
        found = self._tracker.update(
            self._detections(xyxy=boxes.xyxy, confidence=boxes.score, class_id=boxes.label),
            # It reads the camera's movement from shades of grey, so RGB serves as well as BGR.
            frame=pixels.image() if self.sees_pixels else None,
            timestamp=self._number / self._frame_rate,
        )
        self._shown = _ours(found)
        self._learn()
        return self._shown

    def _learn(self) -> None:
        """Note where the filters see each object, and how it moved since its last inference."""
        alive = self._tracker.tracked_objects
        seen: dict[int, _Seen] = {}
        for identity, box in zip(alive.tracker_id.tolist(), alive.xyxy, strict=True):
            velocity = np.zeros(4, np.float32)
            before = self._seen.get(identity)
            if before is not None:
                velocity = (box - before.box) / np.float32(self._number - before.frame)
            seen[identity] = _Seen(self._number, box, velocity)
        self._seen = seen

    def _predicted(self) -> Boxes:
        """Return the objects of the last inferred frame where they are now."""
        # A box that is no object yet is not followed.
        objects = self._shown.take(self._shown.identity != NO_IDENTITY)
        known = [self._seen[identity] for identity in objects.identity.tolist()]
        places = [one.box + (self._number - one.frame) * one.velocity for one in known]
        xyxy = np.array(places, np.float32).reshape(-1, 4)
        return Boxes(xyxy, objects.score, objects.label, objects.identity)


def _ours(found: Any) -> Boxes:
    """Return the package's detections as boxes; an empty one may lack parts."""
    if len(found) == 0:
        return no_boxes()
    return Boxes(
        np.asarray(found.xyxy, np.float32),
        np.asarray(found.confidence, np.float32),
        np.asarray(found.class_id, np.int64),
        np.asarray(found.tracker_id, np.int64),
    )


def _defaults(make: Callable[..., Any]) -> dict[str, Plain]:
    """Return the parameters that a file can hold; the frame rate comes from the clip."""
    parameters = inspect.signature(make).parameters.values()
    return {
        one.name: one.default
        for one in parameters
        if isinstance(one.default, PLAIN) and one.name != "frame_rate"
    }


def package(name: str) -> ModuleType:
    """Import a module of the extra `video`, which takes seconds and so comes late.

    Raises:
        ConfigError: it is not installed, or damaged.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"trackers other than none and max_perf, and the figures HOTA, IDF1 and MOTA, need the "
            f"package trackers: {error}. Run pip install -e '.[video]'."
        ) from error
