"""Three models over four streams of real frames: `make video`.

Two streams play a clip of walking people, two play photos of groups, over which a camera moves. The
pipeline people-faces-masks finds people, faces in people, and masks on faces; a mosaic shows it. No
masked face is in these frames, so that an answer "mask" is a mistake.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sut.base.environment import ROOT
from sut.base.errors import ConfigError, SutError
from sut.video.clips.write import write_clip
from tests.detect.images import fetch_groups, fetch_scenes
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIZE = 640, 360
RATE = 25
FRAMES = 25  # of each photo
_ZOOM = 0.2  # by how much the camera comes nearer
_HEAD_ROOM = 0.3  # of what is cut at the top and the bottom, the share of the top


def main() -> int:
    """Make the clips and run; return the exit code of `sut video run`."""
    parser = argparse.ArgumentParser(prog="python -m tests.detect.video", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = ROOT / "runs" / time.strftime("%Y%m%d-%H%M%S-make-video")
    parser.add_argument("--out", type=Path, default=default, help="a new folder")
    parser.add_argument("--duration-s", default="20", help="of the play (20)")
    arguments = parser.parse_args()
    try:
        return _run(arguments.out, arguments.duration_s)
    except SutError as error:
        print(f"make video: {error}", file=sys.stderr)
        return error.exit_code


def _run(out: Path, duration_s: str) -> int:
    photos, (people, *_) = fetch_groups(), fetch_scenes()
    if out.exists():
        raise ConfigError(f"--out {out}: it exists; expected the name of a new folder.")
    out.mkdir(parents=True)
    groups = out / "groups.mp4"
    write_clip(groups, chain.from_iterable(map(_moves, photos)), RATE)
    code = subprocess.run(
        [
            *(sys.executable, "-m", "sut", "video", "run", "people-faces-masks"),
            *("--source", str(people), "--source", str(groups), "--streams", "4", "--loop"),
            *("--tracker", "max_perf", "--sink", "mosaic", "--duration-s", duration_s),
            *("--out", str(out / "run")),
        ],
        cwd=ROOT,
        check=False,
    ).returncode
    print(f"Look at it: {out / 'run' / 'mosaic.png'}, and mosaic.mp4 beside it")
    return code


def _moves(photo: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield what a camera sees that moves from left to right and comes nearer."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    wide = min(image.width, image.height * SIZE[0] / SIZE[1])
    for number in range(FRAMES):
        share = number / FRAMES
        width = wide * (1 - _ZOOM * share)
        height = width * SIZE[1] / SIZE[0]
        left, top = (image.width - width) * share, (image.height - height) * _HEAD_ROOM
        yield np.asarray(image.resize(SIZE, box=(left, top, left + width, top + height)))


if __name__ == "__main__":
    sys.exit(tidy(main))
