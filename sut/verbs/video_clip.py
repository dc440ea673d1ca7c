"""`sut video clip`: a clip that anyone can make, and what tells it apart from others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError
from sut.video.accuracy.tracks import write_tracks
from sut.video.clips import people
from sut.video.clips.fingerprint import fingerprint_of
from sut.video.clips.rig import rig_files, write_rig
from sut.video.clips.synthetic import Scene
from sut.video.clips.write import CODECS, write_clip

if TYPE_CHECKING:
    import argparse

    from sut.video.clips.fingerprint import Fingerprint

EXAMPLES = """examples:
  sut video clip people street.mp4
  sut video clip synthetic boxes.mkv --objects 8
  sut video run boxes.yaml --source boxes.mkv --truth boxes.txt --tracker max_perf
"""
KINDS = ("people", "synthetic")
_SCENE = Scene()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "kind",
        choices=KINDS,
        help=f"people: of a clip that a package carries, {people.WIDTH} x {people.HEIGHT} at "
        f"{people.RATE} FPS; synthetic: objects that are known to the pixel, "
        "with their truth and a pipeline that finds them exactly",
    )
    parser.add_argument(
        "out", type=Path, help="a new file: .mp4 is H.264, .mkv FFV1, which is without loss"
    )
    parser.add_argument("--from", dest="source", type=Path, metavar="CLIP", help="of people")
    parser.add_argument("--width", type=int, metavar="W", help="of a frame, in pixels")
    parser.add_argument("--height", type=int, metavar="H", help="of a frame, in pixels")
    parser.add_argument("--frames", type=int, metavar="N", help="of the clip; of people: at most")
    scene = parser.add_argument_group("synthetic")
    scene.add_argument(
        "--objects", type=int, default=_SCENE.objects, metavar="N", help=f"({_SCENE.objects})"
    )
    scene.add_argument("--seed", type=int, default=_SCENE.seed, help=f"({_SCENE.seed})")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Write the clip; return the exit code."""
    make = _people if arguments.kind == "people" else _synthetic
    told, files = make(arguments)
    if arguments.json:
        print(json.dumps({**told.as_dict(), "files": [str(path) for path in files]}, indent=2))
        return 0
    objects = "" if told.objects_per_frame is None else f", {told.objects_per_frame:.4g} objects"
    print(
        f"{files[0]}: {told.codec}, {told.width} x {told.height}, "
        f"{told.rate:g} FPS{objects}; sha256 {told.sha256}"
    )
    if files[1:]:
        print(f"beside it: {', '.join(path.name for path in files[1:])}")
    return 0


def _people(arguments: argparse.Namespace) -> tuple[Fingerprint, list[Path]]:
    source = arguments.source or people.find_people()
    width = people.WIDTH if arguments.width is None else arguments.width
    height = people.HEIGHT if arguments.height is None else arguments.height
    if min(width, height) < 1 or width % 2 or height % 2:
        raise ConfigError(f"--width, --height: {width} x {height}; expected even sides above 0.")
    if arguments.frames is not None and arguments.frames < 1:
        raise ConfigError(f"--frames is {arguments.frames}; expected 1 or more.")
    images = people.film(source, width, height, most=arguments.frames)
    write_clip(arguments.out, images, people.RATE)
    return _told(arguments.out, (width, height), None), [arguments.out]


def _synthetic(arguments: argparse.Namespace) -> tuple[Fingerprint, list[Path]]:
    given = {name: getattr(arguments, name) for name in ("width", "height", "frames")}
    scene = replace(
        _SCENE,
        objects=arguments.objects,
        seed=arguments.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    path, truth_path = arguments.out, arguments.out.with_suffix(".txt")
    for beside in (truth_path, *rig_files(path)):
        if beside.exists():
            raise ConfigError(f"{beside}: it exists; expected another name, which is new.")
    if scene.seed < 0:
        raise ConfigError(f"--seed is {scene.seed}; expected 0 or more.")
    truth = scene.truth()
    write_clip(path, (scene.image(number) for number in range(scene.frames)), people.RATE)
    write_tracks(truth_path, truth)
    rig = write_rig(scene, path)
    objects = float(np.mean([len(truth.at(number)) for number in range(truth.count)]))
    return _told(path, (scene.width, scene.height), objects), [path, truth_path, *rig]


def _told(path: Path, size: tuple[int, int], objects: float | None) -> Fingerprint:
    return fingerprint_of(path, CODECS[path.suffix].name, size, float(people.RATE), objects)
