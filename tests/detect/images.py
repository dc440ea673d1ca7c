"""Real photos and frames of a clip, out of packages: nothing of them is in this repository.

What a package manager must fetch is checked by SHA-256 and kept in the cache.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from data.archives import take_files
from data.benchmark import load_benchmark
from data.datasets import list_samples
from data.npm import unpack_npm
from data.packages import package_path
from sut.base.errors import DataError
from sut.base.files import cache_folder, replace_folder, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUPS = "@vladmandic/face-api@1.7.15"
GROUP_PHOTOS = tuple(f"sample{number}.jpg" for number in range(1, 7))
GROUPS_SHA256 = "ab680326a7490040d4f665e78342291a286ff5cbb79c20fa8b7d66e848db71c9"

SKIMAGE = "scikit-image==0.26.0"
SKIMAGE_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")
SKIMAGE_SHA256 = "4b2054196aa984610e963f76e574847c5933202bfa150bd857b73d951817d3d7"

OPENCV = "opencv-doc"
CLIP = "vtest.avi"
OPENCV_PHOTOS = ("messi5.jpg", "basketball1.png", "fruits.jpg", "orange.jpg", "apple.jpg")
OPENCV_SHA256 = "9930d235794f74c260efee0f5bcbad75aaceabd1a31ebe3f983983ba6717ae0a"
_OPENCV_FOLDER = "./usr/share/doc/opencv-doc/examples/data"

FRAMES = 16


def fetch() -> tuple[list[Path], Path]:
    """Return the files of the photos, and of the clip.

    Raises:
        DataError: npm or apt-get is missing or cannot fetch, or a file is another one.
    """
    groups, (clip, *scenes) = fetch_groups(), fetch_scenes()
    skimage = [package_path(SKIMAGE, f"skimage/data/{name}") for name in SKIMAGE_PHOTOS]
    if _digest(skimage) != SKIMAGE_SHA256:
        raise DataError(f"package {SKIMAGE}: its photos are others. Run `make detect` again.")
    photos = list_samples(load_benchmark("efficientnet-lite0"), None)
    return [*groups, *scenes, *skimage, *(photos.folder / name for name in photos.names)], clip


def fetch_groups() -> list[Path]:
    """Return photos of groups of people, whose faces are large.

    Raises:
        DataError: npm is missing or cannot fetch them.
    """
    return _kept(
        cache_folder() / "detect" / "groups",
        GROUP_PHOTOS,
        GROUPS_SHA256,
        partial(unpack_npm, GROUPS, [f"demo/{name}" for name in GROUP_PHOTOS], GROUPS_SHA256),
    )


def fetch_scenes() -> list[Path]:
    """Return a clip of walking people, and some photos.

    Raises:
        DataError: apt-get is missing or cannot fetch them.
    """
    names = (CLIP, *OPENCV_PHOTOS)
    folder = cache_folder() / "detect" / "opencv"
    return _kept(folder, names, OPENCV_SHA256, partial(_unpack_debian, OPENCV))


def fill(folder: Path, photos: Sequence[Path], clip: Path) -> list[Path]:
    """Put photos and frames of the clip into `folder`; return their paths, sorted by name."""
    for path in photos:
        shutil.copyfile(path, folder / path.name)
    _write_frames(clip, folder)
    return sorted(folder.iterdir())


def _kept(
    folder: Path, names: Sequence[str], sha256: str, fetch: Callable[[Path], object]
) -> list[Path]:
    """Return files of the cache; `fetch` puts them there unless they are there already."""
    paths = [folder / name for name in names]
    if not all(path.is_file() for path in paths) or _digest(paths) != sha256:
        with temporary_folder(folder.parent) as scratch:
            fetch(scratch)
            replace_folder(scratch, folder)
    return paths


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _unpack_debian(package: str, folder: Path) -> None:
    """Fetch a Debian package, and put the clip and the photos into `folder`; install nothing.

    Raises:
        DataError: there is no apt-get, or it cannot fetch the package.
    """
    fetch, unpack = ["apt-get", "download", package], ["dpkg-deb", "--fsys-tarfile"]
    for program in (fetch[0], unpack[0]):
        if shutil.which(program) is None:
            raise DataError(
                f"Debian package {package}: {program} is not installed. Run `make detect` on "
                "Debian or Ubuntu."
            )
    print(f"fetching Debian package {package} ...", flush=True)
    done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.deb"))
    if done.returncode or not archives:
        said = " ".join(done.stderr.split("\n")[:1]) or "it said nothing"
        raise DataError(
            f"Debian package {package}: `{' '.join(fetch)}`: {said}. Run `apt-get update` first."
        )
    content = folder / "content.tar"
    with content.open("wb") as file:
        subprocess.run([*unpack, str(archives[0])], stdout=file, check=True)
    members = [f"{_OPENCV_FOLDER}/{name}" for name in (CLIP, *OPENCV_PHOTOS)]
    with tarfile.open(content) as tar:
        take_files(tar, members, OPENCV_SHA256, folder, f"Debian package {package}")
    content.unlink()
    archives[0].unlink()


def _write_frames(clip: Path, folder: Path) -> None:
    """Write frames of a clip, evenly spread, as PNG files."""
    import av  # of the group `detect`: only this needs it

    with av.open(str(clip)) as container:
        count = container.streams.video[0].frames
        wanted = {(2 * k + 1) * count // (2 * FRAMES) for k in range(FRAMES)}
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                pixels = frame.to_ndarray(format="rgb24")
                Image.fromarray(pixels).save(folder / f"{clip.stem}-{number:04d}.png")
