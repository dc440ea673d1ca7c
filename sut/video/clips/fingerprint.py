"""What tells clips apart, so that figures of different clips are never compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sut.base.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PARTS = ("sha256", "codec", "width", "height", "rate")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A clip.

    Attributes:
        sha256: of its file.
        codec: such as h264.
        width: of a frame, in pixels.
        height: likewise.
        rate: frames a second.
        objects_per_frame: mean over the frames; None: not known.
    """

    sha256: str
    codec: str
    width: int
    height: int
    rate: float
    objects_per_frame: float | None = None

    def as_dict(self) -> dict[str, object]:
        """Return it for a file."""
        return asdict(self)


def fingerprint_of(
    path: Path, codec: str, size: tuple[int, int], rate: float, objects: float | None = None
) -> Fingerprint:
    """Return the fingerprint of a clip's file; see Fingerprint for the rest."""
    return Fingerprint(sha256_file(path), codec, *size, rate, objects)


def hash_of(clips: Sequence[Mapping[str, object]]) -> str:
    """Return one hash of all clips of a play, in their order, of 64 letters.

    Objects a frame are not in it: another detector finds others in the same clip.

    Args:
        clips: as video.json has them, with the parts of a fingerprint. A clip that is no file has
            no SHA-256: its name counts instead.
    """
    told = [{part: clip.get(part) for part in _PARTS} for clip in clips]
    for parts, clip in zip(told, clips, strict=True):
        if parts["sha256"] is None:
            parts["name"] = clip.get("name")
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
