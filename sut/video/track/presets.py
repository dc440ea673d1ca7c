"""Trackers by name: the presets of video pipelines, or an algorithm of the package `trackers`.

| preset | algorithm | needs |
| --- | --- | --- |
| none | none | - |
| max_perf | intersection over union, constant velocity | - |
| perf | ByteTrack | the extra `video` |
| accuracy | BoT-SORT with the camera's movement | the extra `video` |
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from sut.base.errors import ConfigError, nearest
from sut.video.track.iou import IouParameters, IouTracker
from sut.video.track.none import NoTracker
from sut.video.track.package import ALGORITHMS, PackageTracker
from sut.video.track.parameters import PLAIN, check_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.video.types import Tracker

NONE, MAX_PERF = "none", "max_perf"
PRESETS = {NONE: "none", MAX_PERF: "iou", "perf": "bytetrack", "accuracy": "botsort"}
TRACKERS = (*PRESETS, *ALGORITHMS)  # what `open_tracker` knows


def open_tracker(
    text: str, frame_rate: float, parameters: Mapping[str, object] | None = None
) -> Tracker:
    """Return a new tracker, for one stream.

    Args:
        text: of TRACKERS, with parameters or without: `accuracy`, or
            `accuracy:enable_cmc=false,lost_track_buffer=60`.
        frame_rate: of the stream, frames a second; it says how many frames a second of patience is.
        parameters: further ones; those not named keep their defaults. `describe()` has them all.

    Raises:
        ConfigError: there is no such tracker, its package is not installed, or a parameter is
            unknown or out of range.
    """
    name, _, written = text.partition(":")
    given: dict[str, Any] = {**_parsed(text, written), **(parameters or {})}
    if name not in TRACKERS:
        raise ConfigError(
            f"tracker {name!r} is unknown.{nearest(name, TRACKERS)} Known are "
            f"{', '.join(TRACKERS)}."
        )
    if name == NONE:
        check_parameters(name, {}, given)
        return NoTracker()
    if name == MAX_PERF:
        check_parameters(name, asdict(IouParameters()), given)
        try:
            return IouTracker(IouParameters(**given), frame_rate, text)
        except ValueError as error:
            raise ConfigError(f"tracker {name}: {error}.") from error
    return PackageTracker(text, PRESETS.get(name, name), given, frame_rate)


def _parsed(text: str, written: str) -> dict[str, object]:
    """Return parameters from KEY=VALUE,KEY=VALUE; values are written as in YAML.

    A semicolon serves as well, for lists of trackers that commas divide.
    """
    found: dict[str, object] = {}
    for pair in filter(None, written.replace(";", ",").split(",")):
        key, equals, value = pair.partition("=")
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            read = None
        if not (key and equals and isinstance(read, PLAIN)):
            raise ConfigError(
                f"tracker {text!r}: {pair!r}; expected KEY=VALUE, such as keep_s=0.5."
            )
        found[key] = read
    return found
