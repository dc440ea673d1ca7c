"""NVDEC through a stand-in of PyNvVideoCodec with the calls that NVIDIA documents."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError
from sut.video.sources.nvdec import MODULE, Nvdec
from tests.sut.video.sources.test_clip import COUNT, RATE, pixels, write

pytest.importorskip("av")
SIZE = (64, 48)


class Decoder:
    """Gives the frames that `write` wrote, one at a time, in the same memory."""

    made: list[dict[str, Any]] = []  # noqa: RUF012 - what it was made with

    def __init__(self, path: str, buffer_size: int, **options: Any) -> None:
        self.made.append({"path": path, **options})
        self._memory = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        self._next, self._fails = 0, "broken" in path

    def get_batch_frames(self, count: int) -> list[np.ndarray]:
        assert count == 1
        if self._fails and self._next == 2:
            raise RuntimeError("NVDEC lost the stream")
        if self._next == COUNT:
            return []
        self._memory[:] = pixels(self._next, SIZE)
        self._next += 1
        return [self._memory]

    def end(self) -> None:
        """Nothing to free."""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(MODULE)
    vars(module).update(
        ThreadedDecoder=Decoder, OutputColorType=SimpleNamespace(RGB="rgb"), __version__="2.2.4"
    )
    monkeypatch.setitem(sys.modules, MODULE, module)


@pytest.mark.usefixtures("library")
def test_frames_come_to_the_host_in_rgb_and_keep_their_pixels(tmp_path: Path) -> None:
    source = Nvdec(str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4")), device=3)

    found = [(picture.pts_s, picture.image()) for picture in source.pictures()]

    assert Decoder.made[-1]["gpu_id"] == 3
    assert Decoder.made[-1]["use_device_memory"] is False
    assert Decoder.made[-1]["output_color_type"] == "rgb"
    assert [pts_s for pts_s, _ in found] == [k / RATE for k in range(COUNT)]
    for number, (_, image) in enumerate(found):  # although the decoder's memory is one
        np.testing.assert_array_equal(image, pixels(number, SIZE))
    assert source.facts.decoder == "NVDEC of GPU 3, PyNvVideoCodec 2.2.4"
    assert source.notes == []


@pytest.mark.usefixtures("library")
def test_a_decoder_that_fails_names_the_frame(tmp_path: Path) -> None:
    source = Nvdec(str(write(tmp_path / "broken.mp4", SIZE, codec="mpeg4")))

    with pytest.raises(DataError, match=r"broken\.mp4: frame 2: PyNvVideoCodec: NVDEC lost"):
        list(source.pictures())


@pytest.mark.usefixtures("library")
def test_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="use --decode cpu"):
        Nvdec("rtsp://camera/1")


@pytest.mark.gpu
def test_a_gpu_decodes_a_clip_as_the_cpu_does(tmp_path: Path) -> None:
    pytest.importorskip(MODULE)
    from sut.video.sources.clip import Clip

    path = str(write(tmp_path / "clip.mp4", (320, 240), codec="libx264"))

    on_gpu = [picture.image() for picture in Nvdec(path).pictures()]
    on_cpu = [picture.image() for picture in Clip(path).pictures()]

    assert len(on_gpu) == len(on_cpu) == COUNT
    for one, other in zip(on_gpu, on_cpu, strict=True):
        # Both convert YUV to RGB with roundings, and perhaps matrices, of their own.
        assert np.abs(one.astype(int) - other).mean() < 8
