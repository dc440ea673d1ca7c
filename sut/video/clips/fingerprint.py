"""What tells clips apart, so that figures of different clips are never compared.

The speed of a pipeline depends on what its clip shows: objects are crops for the later stages.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sut.base.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CLOSE = 0.05  # share by which objects a frame may differ: another model finds others
_OBJECTS = "objects_per_frame"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A clip.

    Attributes:
        sha256: of its file.
        codec: such as h264; "raw" for frames in memory.
        width: of an upright frame, in pixels.
        height: likewise.
        rate: frames a second, on average.
        objects_per_frame: mean over the frames; of the truth where there is one, else as the
            pipeline found them with every frame inferred; None: not known.
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
    path: Path,
    codec: str,
    size: tuple[int, int],
    rate: float,
    objects_per_frame: float | None = None,
) -> Fingerprint:
    """Return the fingerprint of a clip's file.

    Args:
        path: of the file.
        codec: see Fingerprint.
        size: width and height of an upright frame.
        rate: see Fingerprint.
        objects_per_frame: see Fingerprint.
    """
    width, height = size
    return Fingerprint(sha256_file(path), codec, width, height, rate, objects_per_frame)


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return what two fingerprints, as dicts, do not have in common; one line each.

    Objects a frame differ when they are more than 5 % apart: another detector finds others in the
    same clip. A part that one of them does not know is no difference.
    """
    found = []
    for part in fields(Fingerprint):
        mine, yours = one.get(part.name), other.get(part.name)
        if mine is None or yours is None or mine == yours:
            continue
        if part.name == _OBJECTS and _are_close(mine, yours):
            continue
        found.append(f"{part.name} {_short(mine)} and {_short(yours)}")
    return found


def _are_close(one: object, other: object) -> bool:
    a, b = float(str(one)), float(str(other))
    return abs(a - b) <= _CLOSE * max(a, b)


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text[:12]
