"""NVDEC through a stand-in of PyNvVideoCodec with the calls that NVIDIA documents."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backends.cuda.host_driver import HostDriver, HostStream
from sut.base.errors import ConfigError, DataError
from sut.video.sources import nvdec
from sut.video.sources.base import Picture
from sut.video.sources.choose import Decoding, open_source, open_sources
from sut.video.sources.nvdec import MODULE, Nvdec
from tests.backends.shrinking import shrunk
from tests.sut.video.clip_file import COUNT, RATE, pixels, write

if TYPE_CHECKING:
    from collections.abc import Iterator

av = pytest.importorskip("av")
SIZE = (64, 48)


class Decoded:
    """A frame on the device."""

    def __init__(self, memory: np.ndarray, timestamp: int, spare: int = 0) -> None:
        self._memory, self.timestamp, self._spare = memory, timestamp, spare

    def framesize(self) -> int:
        return self._memory.nbytes + self._spare

    def GetPtrToPlane(self, plane: int) -> int:
        assert plane == 0
        return int(self._memory.ctypes.data)


class Gpu(HostDriver):
    """The host as a GPU; its streams can be given to a library."""

    def number(self, stream: HostStream) -> Any:
        return stream


class Packet:
    """One frame of a clip; of no clip: the empty one that brings out what a decoder holds."""

    def __init__(self, path: str | None = None, number: int = 0) -> None:
        self.path, self.number, self.bsl = path, number, 0 if path is None else 100


class Demuxer:
    """Gives a packet for each frame of a clip, and an empty one."""

    opened: list[str] = []  # noqa: RUF012

    def __init__(self, filename: str) -> None:
        self.opened.append(filename)
        self._path = filename
        with av.open(filename) as container:
            self._frames = container.streams.video[0].frames

    def GetNvCodecId(self) -> str:
        return "codec"

    def __iter__(self) -> Iterator[Packet]:
        yield from (Packet(self._path, number) for number in range(self._frames))
        yield Packet()


class Decoder:
    """Gives the frames that `write` wrote, some behind what it is given, in memory of its own."""

    BEHIND = 3
    ends: list[int] = []  # noqa: RUF012 - what it still held at each end that it was told of
    made: list[dict[str, Any]] = []  # noqa: RUF012 - what it was made with
    driver: Gpu

    def __init__(self, **options: Any) -> None:
        self.made.append(options)
        self._stream = options["cudastream"]
        self._memory = np.empty((self.BEHIND, SIZE[1], SIZE[0], 3), np.uint8)
        self._held: deque[Packet] = deque()

    def Decode(self, packet: Packet) -> list[Decoded]:
        if packet.path is None:
            self.ends.append(len(self._held))
            return [self._decoded(place) for place in range(len(self._held))]
        if "broken" in packet.path and packet.number == 2 + self.BEHIND:
            raise RuntimeError("NVDEC lost the stream")
        self._held.append(packet)
        return [self._decoded()] if len(self._held) > self.BEHIND else []

    def _decoded(self, place: int = 0) -> Decoded:
        packet, memory = self._held.popleft(), self._memory[place]
        self.driver.run(partial(np.copyto, memory, pixels(packet.number, SIZE)), self._stream)
        return Decoded(memory, packet.number, spare="padded" in str(packet.path))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> HostDriver:
    """Return the host as a GPU, and have the library at hand."""
    Decoder.made.clear()
    Decoder.ends.clear()
    Demuxer.opened.clear()
    module = ModuleType(MODULE)
    vars(module).update(
        CreateDecoder=Decoder,
        CreateDemuxer=Demuxer,
        PacketData=Packet,
        OutputColorType=SimpleNamespace(RGB="rgb"),
        __version__="2.2.4",
    )
    monkeypatch.setitem(sys.modules, MODULE, module)
    Decoder.driver = Gpu()
    monkeypatch.setattr(nvdec, "open_driver", lambda device, *, shared: Decoder.driver)
    return Decoder.driver


def test_frames_keep_their_pixels_on_the_device_until_they_are_asked_for(
    tmp_path: Path, driver: HostDriver
) -> None:
    source = Nvdec(str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4")), device=3)

    pictures = list(source.pictures())

    (options,) = Decoder.made
    assert (options["gpuid"], options["outputColorType"]) == (3, "rgb")
    assert (options["codec"], options["usedevicememory"]) == ("codec", True)
    assert [picture.pts_s for picture in pictures] == [k / RATE for k in range(COUNT)]
    for number in reversed(range(COUNT)):  # although the decoder's memory is that of three frames
        np.testing.assert_array_equal(pictures[number].image(), pixels(number, SIZE))
        assert pictures[number].size == SIZE
    assert source.facts.decoder == "NVDEC of GPU 3, PyNvVideoCodec 2.2.4"
    assert source.notes == []
    source.close()
    assert driver.allocated_bytes() >= COUNT * 64 * 48 * 3
    del pictures
    assert (driver.allocated_bytes(), driver.pinned_bytes(), driver.handles()) == (0, 0, 0)


def test_memory_is_that_of_the_frames_in_use(tmp_path: Path, driver: HostDriver) -> None:
    source = Nvdec(str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4")))

    means = [picture.image().mean() for picture in source.pictures()]

    assert means == [pixels(number, SIZE).mean() for number in range(COUNT)]
    assert driver.allocated_bytes() <= 4 * 64 * 48 * 3 + 3, "beforehand, and a small one"
    source.close()


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("stops_at", [None, 0, 2])
def test_a_second_pass_has_the_same_decoder(tmp_path: Path, stops_at: int | None) -> None:
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4"))
    source = Nvdec(path)
    if stops_at is not None:
        for number, _ in enumerate(source.pictures()):
            if number == stops_at:
                break

    passes = [[picture.image() for picture in source.pictures()] for _ in range(2)]

    assert len(Decoder.made) == 1
    for one in passes:
        np.testing.assert_array_equal(one, [pixels(number, SIZE) for number in range(COUNT)])
    source.close()


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("stops_at", [None, 2])
def test_passes_of_a_clip_that_is_played_again_have_no_end_between_them(
    tmp_path: Path, stops_at: int | None
) -> None:
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4"))
    (source,) = open_sources([path], 1, Decoding("nvdec", again=True))

    passes = [[picture.image() for picture in source.pictures()] for _ in range(3)]
    if stops_at is not None:
        for _, _ in zip(range(stops_at), source.pictures(), strict=False):
            pass
        passes.append([picture.image() for picture in source.pictures()])

    for one in passes:
        np.testing.assert_array_equal(one, [pixels(number, SIZE) for number in range(COUNT)])
    assert Decoder.ends == [Decoder.BEHIND] * (stops_at is not None)
    assert len(Decoder.made) == 1
    source.close()


@pytest.mark.usefixtures("driver")
def test_streams_of_a_clip_begin_at_different_places(tmp_path: Path) -> None:
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4"))

    sources = open_sources([path], 2, Decoding("nvdec", again=True, spread=True))
    passes = [[p.image() for p in source.pictures()] for source in sources for _ in range(2)]

    whole = [pixels(number, SIZE) for number in range(COUNT)]
    for one, expected in zip(passes, (whole, whole, whole[COUNT // 2 :], whole), strict=True):
        np.testing.assert_array_equal(one, expected)
    assert [source.notes for source in sources] == [[], []]
    for source in sources:
        source.close()


@pytest.mark.usefixtures("driver")
def test_a_clip_of_which_no_frame_comes_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "BEHIND", 10_000)
    source = Nvdec(str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4")), again=True)

    with pytest.raises(DataError, match="not one frame"):
        list(source.pictures())


def test_a_source_that_is_closed_in_the_middle_leaves_nothing(
    tmp_path: Path, driver: HostDriver
) -> None:
    source = Nvdec(str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4")))
    pictures = source.pictures()
    next(pictures)
    del pictures

    decoder = weakref.ref(source._decoder)
    source.close()

    assert decoder() is None
    assert (driver.allocated_bytes(), driver.handles()) == (0, 0)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_the_gpu_scales_an_upright_frame(tmp_path: Path, rotation: int) -> None:
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4", rotation=rotation))
    source = Nvdec(path)
    first = next(iter(source.pictures()))

    assert first.size is not None
    assert first.scaled is not None
    wanted = first.size[0] // 4, first.size[1] // 4
    small = first.scaled(wanted)

    whole = first.image()
    assert small.shape == (wanted[1], wanted[0], 3)
    blocks = whole.reshape(wanted[1], 4, wanted[0], 4, 3)
    np.testing.assert_allclose(small, blocks.mean((1, 3)), atol=0.51)
    source.close()


@pytest.mark.usefixtures("driver")
def test_rows_with_gaps_are_refused(tmp_path: Path) -> None:
    source = Nvdec(str(write(tmp_path / "padded.mp4", SIZE, codec="mpeg4")))

    with pytest.raises(DataError, match=r"frame 0: PyNvVideoCodec gives 9217 bytes; expected 9216"):
        list(source.pictures())


@pytest.mark.usefixtures("driver")
def test_a_source_of_a_play_has_its_decoder_before_the_first_frame_is_due(tmp_path: Path) -> None:
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4"))
    open_source(path, Decoding("nvdec")).close()
    assert not Decoder.made, "nobody plays it"

    (source,) = open_sources([path], 1, Decoding("nvdec"))

    assert len(Decoder.made) == 1
    assert len(list(source.pictures())) == len(list(source.pictures())) == COUNT
    assert (len(Decoder.made), Demuxer.opened) == (1, [path, path])
    source.close()


def test_a_decoder_that_cannot_be_made_is_said_and_leaves_nothing(
    tmp_path: Path, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no NVDEC here")

    monkeypatch.setattr(sys.modules[MODULE], "CreateDecoder", fails)
    path = str(write(tmp_path / "clip.mp4", SIZE, codec="mpeg4"))

    with pytest.raises(ConfigError, match=r"clip\.mp4: PyNvVideoCodec: no NVDEC here"):
        open_sources([path], 1, Decoding("nvdec"))

    assert driver.handles() == 0


@pytest.mark.usefixtures("driver")
def test_a_decoder_that_fails_names_the_frame(tmp_path: Path) -> None:
    source = Nvdec(str(write(tmp_path / "broken.mp4", SIZE, codec="mpeg4")))

    with pytest.raises(DataError, match=r"broken\.mp4: frame 2: PyNvVideoCodec: NVDEC lost"):
        list(source.pictures())


@pytest.mark.usefixtures("driver")
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


@pytest.mark.gpu
@pytest.mark.parametrize("again", [False, True])
def test_a_gpu_scales_a_clip_and_begins_it_anew(tmp_path: Path, *, again: bool) -> None:
    pytest.importorskip(MODULE)
    path = str(write(tmp_path / "clip.mp4", (320, 240), codec="libx264"))
    source = Nvdec(path, begin=0.0, again=again)

    passes = [[both(picture) for picture in source.pictures()] for _ in range(3)]

    assert [len(one) for one in passes] == [COUNT] * 3
    host = HostDriver()
    for one in passes:
        for (whole, small), (first, _) in zip(one, passes[0], strict=True):
            np.testing.assert_array_equal(whole, first)
            assert np.abs(small.astype(int) - shrunk(host, whole, (75, 56))).max() <= 1
    source.close()


def both(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Return a whole picture, and a small one."""
    assert picture.scaled is not None
    return picture.image(), picture.scaled((75, 56))
