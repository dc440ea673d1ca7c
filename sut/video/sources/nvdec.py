"""Clips decoded by NVDEC, the decoder of a GPU, through PyNvVideoCodec.

NVDEC also makes the RGB pixels; they come to the host, where a benchmark's steps resize them. PyAV
says what the clip is. Source of the calls: NVIDIA's SDK documentation of PyNvVideoCodec 2.2,
ThreadedDecoder.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.base.errors import ConfigError, DataError
from sut.video.sources.address import is_network
from sut.video.sources.base import Picture
from sut.video.sources.clip import Clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MODULE = "PyNvVideoCodec"
_AHEAD = 8  # frames that its own thread decodes ahead
_QUARTER_TURN = 90


class Nvdec:
    """One clip on the decoder of a GPU. See sut.video.sources.base.Source.

    Args:
        name: a path.
        device: a number of CUDA.

    Raises:
        ConfigError: PyNvVideoCodec does not load, or the clip cannot be opened.
    """

    def __init__(self, name: str, device: int = 0) -> None:
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

    def pictures(self) -> Iterator[Picture]:
        """See Source. Frames are as far apart as the clip's rate says."""
        facts, count = self.facts, 0
        try:
            decoder = self._library.ThreadedDecoder(
                facts.name,
                _AHEAD,
                gpu_id=self._device,
                use_device_memory=False,
                output_color_type=self._library.OutputColorType.RGB,
            )
            while frames := decoder.get_batch_frames(1):
                yield Picture(count / facts.rate, _Pixels(frames[0], facts.rotation))
                count += 1
            decoder.end()
        except Exception as error:  # the library raises plain exceptions of its own
            raise DataError(f"{facts.name}: frame {count}: {MODULE}: {error}") from error
        if not count:
            raise DataError(f"{facts.name}: not one frame can be decoded.")
        if facts.frames is not None and count < facts.frames:
            note = f"{facts.name}: it ended after {count} of {facts.frames} frames"
            if note not in self.notes:
                self.notes.append(note)

    def close(self) -> None:
        """See Source: a decoder lives as long as its pictures."""


class _Pixels:
    """Takes the RGB pixels of a decoded frame; the decoder uses its memory again afterwards."""

    __slots__ = ("_frame", "_turns")

    def __init__(self, frame: Any, rotation: int) -> None:
        self._frame, self._turns = frame, rotation // _QUARTER_TURN

    def __call__(self) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = np.array(np.from_dlpack(self._frame))
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image
