"""Clips decoded by NVDEC, the decoder of a GPU, through PyNvVideoCodec.

NVDEC's frames become RGB on the GPU and stay there; as many pixels come to the host as somebody
wants. PyAV says what the clip is. Source of the calls: NVIDIA's documentation of PyNvVideoCodec
2.2, ThreadedDecoder.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.cuda.gpu import open_driver
from sut.base.errors import ConfigError, DataError, SutError
from sut.video.sources.address import is_network
from sut.video.sources.base import Picture
from sut.video.sources.clip import Clip
from sut.video.sources.joined import joined
from sut.video.sources.surfaces import Surfaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sut.video.sources.surfaces import Surface
    from sut.video.types import Size

MODULE = "PyNvVideoCodec"
_AHEAD = 8  # frames that its own thread decodes ahead
_KEPT = 4  # frames of a stream under way, for which there is memory beforehand
_QUARTER_TURN = 90


class Nvdec:
    """One clip on the decoder of a GPU. See sut.video.sources.base.Source.

    Args:
        name: a path.
        device: a number of CUDA.
        begin: make the decoder at once, which takes 0.1 s, and have its first frames decoded.
        unbroken_s: the clip is played again and again: passes of so many seconds are decoded as
            one. To begin anew, the library waits for its thread and lets no other thread go on.

    Raises:
        ConfigError: PyNvVideoCodec does not load, or the clip cannot be opened.
    """

    def __init__(
        self, name: str, device: int = 0, *, begin: bool = False, unbroken_s: float = 0.0
    ) -> None:
        if is_network(name):
            raise ConfigError(f"--decode nvdec: {name} comes over a network; use --decode cpu.")
        try:
            self._library: Any = import_module(MODULE)
        except (ImportError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"--decode nvdec: {MODULE} does not load: {error}. Install it with a driver that "
                "has NVDEC (pip install -e '.[nvdec]'), or use --decode cpu."
            ) from error
        clip = Clip(name)
        clip.close()
        version = getattr(self._library, "__version__", "")
        decoder = f"NVDEC of GPU {device}, {MODULE} {version}".rstrip()
        self.facts = replace(clip.facts, decoder=decoder)
        self.notes: list[str] = []
        self._device = device
        self._turns = self.facts.rotation // _QUARTER_TURN
        self._size = _turned((self.facts.width, self.facts.height), self._turns)
        self._surfaces: Surfaces | None = None
        self._decoder: Any = None
        self._begun = False  # the decoder has given frames
        self._file, self._joined = name, 1
        if self.facts.frames and unbroken_s:
            passes = math.ceil(unbroken_s * self.facts.rate / self.facts.frames)
            file = joined(name, passes) if passes > 1 else None
            if file is not None:
                self._file, self._joined = file, passes
        self._left = 0  # passes that the decoder has not begun, if the last one came to its end
        if begin:
            try:
                self._make()
            except SutError:
                raise
            except Exception as error:  # the library raises plain exceptions of its own
                self.close()
                raise ConfigError(f"--decode nvdec: {name}: {MODULE}: {error}") from error

    def pictures(self) -> Iterator[Picture]:
        """See Source. Frames are as far apart as the clip's rate says."""
        facts, count = self.facts, 0
        most = facts.frames if self._joined > 1 else None  # else until there are no more
        try:
            surfaces = self._ready()
            left, self._left = self._left, 0
            while count != most and (frames := self._decoder.get_batch_frames(1)):
                surface = surfaces.keep(self._address(frames[0], count))
                upright = _Upright(surface, self._turns)
                size = (facts.width, facts.height)
                at_s = count / facts.rate
                yield Picture(at_s, upright, size=size, scaled=upright.scaled)
                count += 1
            self._left = left - 1 if count == most else 0
        except SutError:
            raise
        except Exception as error:  # the library raises plain exceptions of its own
            raise DataError(f"{facts.name}: frame {count}: {MODULE}: {error}") from error
        if not count:
            raise DataError(f"{facts.name}: not one frame can be decoded.")
        if facts.frames is not None and count < facts.frames:
            note = f"{facts.name}: it ended after {count} of {facts.frames} frames"
            if note not in self.notes:
                self.notes.append(note)

    def close(self) -> None:
        """See Source. Frames that are still in use stay."""
        # It goes by itself, before its stream. After `end` in the middle of a clip, a process that
        # made others crashed (PyNvVideoCodec 2.2.4, H200); after none it had not.
        self._decoder = None
        if self._surfaces is not None:
            self._surfaces.close()

    def _ready(self) -> Surfaces:
        """Bring the decoder to the clip's first frame; return the memory of its frames."""
        if self._left:
            pass
        elif self._decoder is None:
            self._make()
        elif self._begun:
            self._decoder.reconfigure_decoder(self._file)
        self._begun = True
        self._left = self._left or self._joined
        assert self._surfaces is not None, "the decoder needs its stream"
        return self._surfaces

    def _make(self) -> None:
        driver = open_driver(str(self._device), shared=True)
        self._surfaces = Surfaces(driver, self._size)
        self._surfaces.begin(_KEPT)
        self._decoder = self._library.ThreadedDecoder(
            self._file,
            _AHEAD,
            gpu_id=self._device,
            cuda_context=driver.context,
            cuda_stream=driver.number(self._surfaces.stream),
            use_device_memory=True,
            output_color_type=self._library.OutputColorType.RGB,
        )

    def _address(self, frame: Any, number: int) -> int:
        """Return where a frame's pixels are, row by row without gaps.

        Raises:
            DataError: they are not.
        """
        width, height = self._size
        found, expected = frame.framesize(), width * height * 3
        if found != expected:
            raise DataError(
                f"{self.facts.name}: frame {number}: {MODULE} gives {found} bytes; expected "
                f"{expected}, RGB of {width} x {height}. Use --decode cpu."
            )
        return int(frame.GetPtrToPlane(0))


class _Upright:
    """Brings the RGB pixels of a decoded frame to the host, turned upright."""

    __slots__ = ("_surface", "_turns")

    def __init__(self, surface: Surface, turns: int) -> None:
        self._surface, self._turns = surface, turns

    def __call__(self) -> NDArray[np.uint8]:
        return self._upright(self._surface.whole())

    def scaled(self, size: Size) -> NDArray[np.uint8]:
        """Return the frame of this size: the GPU makes it, and only that comes to the host."""
        return self._upright(self._surface.scaled(_turned(size, self._turns)))

    def _upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image


def _turned(size: Size, turns: int) -> Size:
    return (size[1], size[0]) if turns % 2 else size
