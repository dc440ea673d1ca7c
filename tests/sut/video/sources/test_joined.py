"""A clip many times in one file has the pictures of the clip, again and again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
from sut.video.sources.clip import Clip
from sut.video.sources.joined import joined
from tests.sut.video.clip_file import COUNT, RATE, write


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_every_pass_has_the_same_pictures_at_even_times(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "clip.mp4", (64, 48), codec=codec)

    file = joined(str(path), 3)
    assert file is not None
    once, again = (list(Clip(name).pictures()) for name in (str(path), file))

    assert len(again) == 3 * COUNT
    for number, picture in enumerate(again):
        np.testing.assert_array_equal(picture.image(), once[number % COUNT].image())
    np.testing.assert_allclose(
        [picture.pts_s for picture in again], np.arange(3 * COUNT) / RATE, atol=1e-3
    )


def test_what_cannot_be_joined_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no clip")
    before = sorted(Path("/proc/self/fd").iterdir())

    assert joined(str(path), 2) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
