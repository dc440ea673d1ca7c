"""A clip whose objects are known to the pixel: coloured boxes over a dark, tiled ground.

Each object has a colour that nothing else has, and moves by whole pixels in a lane of its own, to
and fro, so that it is never hidden. Some come later, some go earlier. So detections, identities and
crops can be checked exactly, as long as the clip is written without loss. Writes no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError
from sut.video.accuracy.tracks import Tracks
from sut.video.types import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

CLASSES = 2  # object k is of class k % CLASSES
MOST_OBJECTS = 32
_LEAST_LANE = 8  # pixels
_LEAST_RATIO = 4  # of the width and a lane's height
_GROUND = 32  # channels of the ground are below
_TILE = 8  # pixels of the ground that are alike: single ones would fill the disk
_BRIGHT = np.array([96, 144, 192, 240], np.uint8)  # channels of the objects


@dataclass(frozen=True)  # without slots: cached_property needs a __dict__
class Scene:
    """The scene; the same for the same numbers.

    Attributes:
        width: of a frame, pixels.
        height: likewise.
        frames: of the clip.
        objects: that appear in it, 1 to MOST_OBJECTS.
        seed: of sizes, places and steps.

    Raises:
        ConfigError: a number is out of range, or the objects find no room.
    """

    width: int = 640
    height: int = 360
    frames: int = 120
    objects: int = 6
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.objects <= MOST_OBJECTS:
            raise ConfigError(f"{self.objects} objects; expected 1 to {MOST_OBJECTS}.")
        if self.frames < 1:
            raise ConfigError(f"{self.frames} frames; expected 1 or more.")
        lane = self.height // self.objects
        if lane < _LEAST_LANE or self.width < _LEAST_RATIO * lane:
            raise ConfigError(
                f"{self.objects} objects in frames of {self.width} x {self.height}; expected a "
                f"height of {_LEAST_LANE} pixels an object or more, and a width of "
                f"{_LEAST_RATIO} times that height."
            )

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """The colour of each object, [objects, 3]."""
        grid = np.stack(np.meshgrid(_BRIGHT, _BRIGHT, _BRIGHT, indexing="ij"), -1).reshape(-1, 3)
        return grid[np.random.default_rng(self.seed).permutation(len(grid))[: self.objects]]

    def boxes(self, number: int) -> Boxes:
        """Return what frame `number` shows: scores are 1, the identity is the object's number."""
        there = np.flatnonzero((self._spans[:, 0] <= number) & (number < self._spans[:, 1]))
        moved = self._starts + number * self._steps
        room = self._room
        # To and fro: a triangular wave, for which a full turn is twice the room.
        turn = moved % (2 * room)
        corners = self._origin + np.where(turn < room, turn, 2 * room - turn)
        xyxy = np.concatenate([corners, corners + self._sizes], axis=1)[there].astype(np.float32)
        return Boxes(xyxy, np.ones(len(there), np.float32), there % CLASSES, there)

    def image(self, number: int) -> NDArray[np.uint8]:
        """Return frame `number`, [height, width, 3] uint8, RGB."""
        picture = self._ground.copy()
        boxes = self.boxes(number)
        for (left, top, right, bottom), which in zip(
            boxes.xyxy.astype(int).tolist(), boxes.identity, strict=True
        ):
            picture[top:bottom, left:right] = self.colours[which]
        return picture

    def truth(self) -> Tracks:
        """Return the objects of all frames."""
        return Tracks({k: self.boxes(k) for k in range(self.frames)}, self.frames)

    @cached_property
    def _ground(self) -> NDArray[np.uint8]:
        tiles = (-(-self.height // _TILE), -(-self.width // _TILE), 3)
        grain = np.random.default_rng(self.seed).integers(0, _GROUND, tiles, np.uint8)
        whole = grain.repeat(_TILE, axis=0).repeat(_TILE, axis=1)
        return np.ascontiguousarray(whole[: self.height, : self.width])

    @cached_property
    def _sizes(self) -> Integers:
        """Width and height of each object; it fills half of its lane's height or more."""
        lane = self.height // self.objects
        generator = np.random.default_rng(self.seed + 1)
        low, high = np.array([lane // 2, lane // 2]), np.array([2 * lane, lane - 1])
        return generator.integers(low, high + 1, (self.objects, 2))

    @cached_property
    def _origin(self) -> Integers:
        """The upper left corner of each object's lane."""
        tops = np.arange(self.objects) * (self.height // self.objects)
        return np.stack([np.zeros_like(tops), tops], axis=1)

    @cached_property
    def _room(self) -> Integers:
        """How far each object can move to the right and down; 1 or more."""
        return np.array([self.width, self.height // self.objects]) - self._sizes

    @cached_property
    def _starts(self) -> Integers:
        return np.random.default_rng(self.seed + 2).integers(0, 2 * self._room)

    @cached_property
    def _steps(self) -> Integers:
        """Pixels a frame to the right and down: slow enough that an object overlaps itself."""
        fastest = np.maximum(1, self._sizes[:, :1] // 12)
        across = np.random.default_rng(self.seed + 3).integers(1, fastest + 1)
        return np.concatenate([across, np.zeros_like(across)], axis=1)

    @cached_property
    def _spans(self) -> Integers:
        """The first frame of each object, and the first without it again."""
        spans = np.tile([0, self.frames], (self.objects, 1))
        spans[1::3, 0] = self.frames // 4
        spans[2::3, 1] = self.frames - self.frames // 4
        return spans
