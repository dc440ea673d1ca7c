"""Clips of all kinds, written and read by PyAV: sound ones exactly, damaged ones by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError
from sut.video.sources.choose import Decoding, clips_of, open_sources
from sut.video.sources.clip import Clip
from sut.video.sources.memory import decoded
from tests.sut.video.clip_file import COUNT, ODD, RATE, pixels, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

av = pytest.importorskip("av")


def read(path: Path, *, again: bool = False) -> tuple[Clip, list[float], list[NDArray[np.uint8]]]:
    clip = Clip(str(path), again=again)
    found = [(picture.pts_s, picture.image()) for picture in clip.pictures()]
    clip.close()
    return clip, [pts_s for pts_s, _ in found], [image for _, image in found]


def test_frames_of_odd_sides_come_back_exactly(tmp_path: Path) -> None:
    clip, times, images = read(write(tmp_path / "odd.mkv"))

    assert (clip.facts.width, clip.facts.height, clip.facts.codec) == (*ODD, "ffv1")
    np.testing.assert_allclose(times, np.arange(COUNT) / RATE, atol=1e-3)
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, pixels(number))
    assert clip.notes == []


def test_a_clip_can_be_played_again(tmp_path: Path) -> None:
    clip = Clip(str(write(tmp_path / "twice.mkv")))

    counts = [sum(1 for _ in clip.pictures()) for _ in range(2)]
    clip.close()

    assert counts == [COUNT, COUNT]


# H.264 without a container has no times, and AVI has those of decoding alone.
@pytest.mark.parametrize(
    ("name", "codec", "again"),
    [
        ("of.mp4", "libx264", True),
        ("of.mkv", "ffv1", True),
        ("of.ts", "libx264", True),
        ("of.avi", "mpeg4", True),
        ("of.avi", "libx264", False),
        ("of.h264", "libx264", False),
    ],
)
def test_passes_without_an_end_between_them_have_the_same_frames(
    tmp_path: Path, name: str, codec: str, *, again: bool
) -> None:
    path = write(tmp_path / name, (64, 48), codec=codec)
    once, times, images = read(path)
    clip = Clip(str(path), again=True)
    assert clip.again is again

    for _ in range(3):
        found = [(picture.pts_s, picture.image()) for picture in clip.pictures()]
        assert [pts_s for pts_s, _ in found] == times
        np.testing.assert_array_equal([image for _, image in found], images)
    assert clip.notes == once.notes
    clip.close()


def test_a_pass_that_is_left_in_the_middle_begins_anew(tmp_path: Path) -> None:
    clip = Clip(str(write(tmp_path / "of.mp4", (64, 48), codec="libx264")), again=True)
    whole = [picture.image() for picture in clip.pictures()]
    for _, _ in zip(range(3), clip.pictures(), strict=False):
        pass

    again = [picture.image() for picture in clip.pictures()]
    clip.close()

    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize(("spread", "first"), [(True, 6), (False, 0)])
def test_streams_of_a_clip_begin_at_different_places(
    tmp_path: Path, *, spread: bool, first: int
) -> None:
    path = write(tmp_path / "of.mp4", (64, 48), codec="libx264")
    _, _, images = read(path)
    how = Decoding(again=True, spread=spread)

    begin, middle = open_sources([str(path)], 2, how)
    passes = [list(source.pictures()) for source in (begin, middle, middle)]

    for pictures, number in zip(passes, (0, first, 0), strict=True):
        np.testing.assert_array_equal(pictures[0].image(), images[number])
        assert pictures[0].pts_s == 0
        assert len(pictures) == COUNT - number
    assert begin.notes == middle.notes == []
    for source in (begin, middle):
        source.close()


def test_times_that_go_back_in_a_clip_are_not_its_end(tmp_path: Path) -> None:
    one = write(tmp_path / "one.ts", (64, 48), codec="libx264").read_bytes()
    path = tmp_path / "two.ts"
    path.write_bytes(one + one)

    _, times, images = read(path)

    assert len(images) == 2 * COUNT
    assert times == sorted(times)


def test_a_clip_of_one_frame_is_played_again(tmp_path: Path) -> None:
    path = tmp_path / "one.mkv"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *ODD, "bgr0"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels(0), format="rgb24")))
        file.mux(stream.encode())
    clip = Clip(str(path), again=True)

    passes = [[picture.image() for picture in clip.pictures()] for _ in range(4)]
    clip.close()

    np.testing.assert_array_equal(passes, [[pixels(0)]] * 4)


def test_uneven_times_stay_uneven(tmp_path: Path) -> None:
    pts = [0, 10, 100, 110, 300, 310, 311, 400, 500, 600, 601, 900]

    _, times, images = read(write(tmp_path / "vfr.mkv", pts=pts))

    assert [round(1000 * time_s) for time_s in times] == pts
    assert len(images) == COUNT


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotated_clip_is_upright(tmp_path: Path, rotation: int) -> None:
    size = (64, 48)

    clip, _, images = read(write(tmp_path / "turned.mp4", size, codec="mpeg4", rotation=rotation))

    lying = next(Clip(str(write(tmp_path / "lying.mp4", size, codec="mpeg4"))).pictures())
    np.testing.assert_array_equal(images[0], np.rot90(lying.image(), rotation // 90))
    assert (clip.facts.height, clip.facts.width) == images[0].shape[:2]


@pytest.mark.parametrize("rotation", [0, 90])
def test_the_decoder_scales_an_upright_frame(tmp_path: Path, rotation: int) -> None:
    path = write(tmp_path / "clip.mp4", (64, 48), codec="mpeg4", rotation=rotation)

    picture = next(Clip(str(path)).pictures())

    assert picture.size is not None
    assert picture.scaled is not None
    width, height = picture.size
    small = picture.scaled((width // 2, height // 4))
    whole = picture.scaled(picture.size)
    image = picture.image()
    assert image.shape == (height, width, 3)
    np.testing.assert_array_equal(whole, image)
    assert small.shape == (height // 4, width // 2, 3)
    means = image.reshape(height // 4, 4, width // 2, 2, 3).mean(axis=(1, 3))
    # Noise, of whose colours YUV halves the places; upside down it would not be alike at all.
    assert np.corrcoef(small.ravel(), means.ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(small[::-1].ravel(), means.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_is_cut_off_gives_its_frames_and_says_so(
    tmp_path: Path, *, again: bool
) -> None:
    whole = write(tmp_path / "whole.mp4", (64, 48), codec="mpeg4").read_bytes()
    # The index of an mp4 lies at its end here, so the middle is what can go missing.
    path = tmp_path / "holes.mp4"
    third = len(whole) // 3
    path.write_bytes(whole[:third] + bytes(third) + whole[2 * third :])

    clip, _, images = read(path, again=again)

    assert 0 < len(images) <= COUNT
    assert clip.notes
    assert "holes.mp4" in clip.notes[0]


def test_what_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no clip", "utf-8")

    with pytest.raises(ConfigError, match=r"text\.mp4: Invalid data"):
        Clip(str(path))


def test_a_clip_without_one_whole_frame_is_refused_by_its_stream(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mkv", (64, 48), codec="mpeg4").read_bytes()
    path = tmp_path / "head.mkv"
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75") + 20])  # to its first cluster

    clip = Clip(str(path))

    with pytest.raises(DataError, match="not one frame can be decoded"):
        list(clip.pictures())


def test_frames_in_memory_are_those_of_the_clip_and_shared_by_streams(tmp_path: Path) -> None:
    path = str(write(tmp_path / "kept.mkv"))

    first, second = open_sources([path], 2, Decoding("memory"))

    images = [picture.image() for picture in first.pictures()]
    np.testing.assert_array_equal(images[3], pixels(3))
    assert images[3] is next(p.image() for k, p in enumerate(second.pictures()) if k == 3)
    assert "memory" in first.facts.decoder


def test_memory_for_less_than_two_frames_is_refused(tmp_path: Path) -> None:
    clip = Clip(str(write(tmp_path / "large.mkv")))

    with pytest.raises(ConfigError, match="Raise --memory-mb"):
        decoded(clip, 33 * 25 * 3 + 1)
    clip.close()


def test_a_folder_gives_its_videos_and_a_folder_of_images_is_one_clip(tmp_path: Path) -> None:
    from PIL import Image

    videos, images = tmp_path / "videos", tmp_path / "images"
    videos.mkdir()
    images.mkdir()
    for name in ("b.mkv", "a.mkv"):
        write(videos / name)
    for number in range(3):
        Image.fromarray(pixels(number)).save(images / f"{number:02}.png")

    clips = clips_of([str(videos), str(images)])
    sources = open_sources(clips, 3, Decoding())

    assert [Path(clip).name for clip in clips] == ["a.mkv", "b.mkv", "images"]
    (_, _, pictures) = sources
    for number, picture in enumerate(pictures.pictures()):
        np.testing.assert_array_equal(picture.image(), pixels(number))
    for source in sources:
        source.close()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither videos nor images"):
        clips_of([str(tmp_path)])


def test_no_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="--source: no clip"):
        clips_of([])
