"""Clips decoded by NVDEC, the decoder of a GPU, through PyNvVideoCodec.

NVDEC's frames become RGB on the GPU and stay there; as many pixels come to the host as somebody
wants. PyAV says what the clip is. Source of the calls: NVIDIA's documentation of PyNvVideoCodec
2.2, CreateDemuxer and CreateDecoder.

The library's ThreadedDecoder must not be used, though it decodes ahead: its thread writes a list of
times without the lock under which whoever takes frames makes that list longer (version 2.2.4;
NvDecoder::HandlePictureDisplay against NvDecoder::UnlockLockedFrames). Processes crashed.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.cuda.gpu import open_driver
from sut.base.errors import ConfigError, DataError, SutError
from sut.video.sources.address import is_network
from sut.video.sources.base import Picture
from sut.video.sources.clip import Clip
from sut.video.sources.passes import Passes, frames_before
from sut.video.sources.surfaces import Surfaces

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from sut.video.sources.surfaces import Surface
    from sut.video.types import Size

MODULE = "PyNvVideoCodec"
_KEPT = 4  # frames of a stream under way, for which there is memory beforehand
_MOST_SILENT = 256  # packets in a row that bring no frame: then none will come
_QUARTER_TURN = 90


class Nvdec:
    """One clip on the decoder of a GPU. See sut.video.sources.base.Source.

    Args:
        name: a path.
        device: a number of CUDA.
        begin: make the decoder at once, which takes 0.1 s, and decode the first frame; the value is
            where it lies in the clip, from 0 to below 1. None: when it is wanted.
        again: passes follow each other without an end between them; see sut.video.sources.passes.

    Raises:
        ConfigError: PyNvVideoCodec does not load, or the clip cannot be opened.
    """

    def __init__(
        self, name: str, device: int = 0, *, begin: float | None = None, again: bool = False
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
        clip = Clip(name, again=again)
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
        self._within = False  # it has had packets of a pass, and not the last one
        self._again = clip.again
        self._passes = Passes(self._decoded, itemgetter(1) if self._again else None)
        self._before = frames_before(self.facts, begin or 0.0) if self._again else 0
        if begin is not None:
            try:
                self._passes.skip(self._before)
            except SutError:
                raise
            except Exception as error:  # the library raises plain exceptions of its own
                self.close()
                raise ConfigError(f"--decode nvdec: {name}: {MODULE}: {error}") from error

    def pictures(self) -> Iterator[Picture]:
        """See Source. Frames are as far apart as the clip's rate says."""
        facts, count = self.facts, 0
        try:
            for surface, _ in self._passes.one():
                upright = _Upright(surface, self._turns)
                size = (facts.width, facts.height)
                yield Picture(count / facts.rate, upright, size=size, scaled=upright.scaled)
                count += 1
        except SutError:
            raise
        except Exception as error:  # the library raises plain exceptions of its own
            raise DataError(f"{facts.name}: frame {count}: {MODULE}: {error}") from error
        if not count:
            raise DataError(f"{facts.name}: not one frame can be decoded.")
        before, self._before = self._before, 0
        if facts.frames is not None and count + before < facts.frames:
            note = f"{facts.name}: it ended after {count + before} of {facts.frames} frames"
            if note not in self.notes:
                self.notes.append(note)

    def close(self) -> None:
        """See Source. Frames that are still in use stay."""
        self._passes.close()
        self._decoder = None  # it goes before its stream
        if self._surfaces is not None:
            self._surfaces.close()

    def _decoded(self) -> Generator[tuple[Surface, int], None, None]:
        """Yield frames and their times. Each was given to NVDEC some packets ago."""
        if self._within:
            self._decoder.Decode(self._library.PacketData())
        number = silent = 0
        while silent < _MOST_SILENT:
            demuxer = self._library.CreateDemuxer(filename=self.facts.name)
            surfaces = self._surfaces or self._make(demuxer.GetNvCodecId())
            self._within = True
            for packet in demuxer:
                if self._again and not packet.bsl:
                    break  # this empty one would bring out what is left, as an end does
                silent += 1
                for frame in self._decoder.Decode(packet):
                    yield surfaces.keep(self._address(frame, number)), frame.timestamp
                    number, silent = number + 1, 0
            if not self._again:
                self._within = False
                return

    def _make(self, codec: Any) -> Surfaces:
        driver = open_driver(str(self._device), shared=True)
        surfaces = self._surfaces = Surfaces(driver, self._size)
        surfaces.begin(_KEPT)
        self._decoder = self._library.CreateDecoder(
            gpuid=self._device,
            codec=codec,
            cudacontext=driver.context,
            cudastream=driver.number(surfaces.stream),
            usedevicememory=True,
            outputColorType=self._library.OutputColorType.RGB,
        )
        return surfaces

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
