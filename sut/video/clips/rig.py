"""A pipeline for a synthetic clip: models that know its objects exactly, on any backend.

With the clip, its truth and this pipeline anyone can see whether decoder, engine, tracker and crops
of a machine are right to the pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import yaml

from data.convert.coloured import write_classifier, write_detector
from data.tasks.detection.judge import METRIC
from sut.base.files import write_whole
from sut.video.clips.synthetic import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from sut.video.clips.synthetic import Scene

FIND, TELL = "find", "tell"
IMPURE = "impure"  # a crop that shows anything beside its object
_SIDE = 16  # of a crop, for its classifier


def rig_files(path: Path) -> list[Path]:
    """Return the files that `write_rig` writes, the pipeline's first."""
    names = [".yaml", *(f"-{stage}.{kind}" for stage in (FIND, TELL) for kind in ("yaml", "onnx"))]
    return [path.with_name(f"{path.stem}{name}") for name in names]


def write_rig(scene: Scene, path: Path) -> list[Path]:
    """Write the pipeline of a scene beside its clip; return the files, the pipeline's first.

    Args:
        scene: in the clip.
        path: of the clip, which gives the names.

    Raises:
        OSError: a file cannot be written.
    """
    pipeline, find, find_model, tell, tell_model = files = rig_files(path)
    labels = np.arange(scene.objects) % CLASSES
    write_detector(find_model, scene.colours, labels, (scene.width, scene.height))
    write_classifier(tell_model, scene.colours, _SIDE)
    contents = {pipeline: _pipeline(scene, path.stem, find, tell)}
    contents[find] = _detector(scene, find_model)
    contents[tell] = _classifier(scene, tell_model)
    write_whole({file: yaml.safe_dump(text, sort_keys=False) for file, text in contents.items()})
    return files


def _pipeline(scene: Scene, name: str, find: Path, tell: Path) -> dict[str, object]:
    return {
        "name": name,
        "description": f"knows the objects of {name} by their colours, exactly",
        "stages": [
            {
                "name": FIND,
                "benchmark": find.name,
                "classes": {f"class-{label}": label for label in range(CLASSES)},
            },
            {
                "name": TELL,
                "benchmark": tell.name,
                "crops": {"of": FIND, "min_side": 1, "frames": "inferred"},
                "classes": {f"object-{k}": k for k in range(scene.objects)}
                | {IMPURE: scene.objects},
            },
        ],
    }


def _detector(scene: Scene, model: Path) -> dict[str, object]:
    return {
        "name": model.stem,
        "description": "a box of each known colour",
        "task": "detection",
        "models": [{"kind": "file", "path": model.name}],
        "input": {"name": "frames", "shape": [3, scene.height, scene.width], "layout": "NCHW"},
        "output": "boxes",
        "dataset": {"kind": "folder"},
        "postprocess": {
            "kind": "detections",
            "outputs": ["boxes", "scores", "classes"],
            "order": "xyxy",
            "units": "pixels",
            "confidence": 0.5,
        },
        "accuracy": {"metric": METRIC},
    }


def _classifier(scene: Scene, model: Path) -> dict[str, object]:
    return {
        "name": model.stem,
        "description": "whose crop it is",
        "models": [{"kind": "file", "path": model.name}],
        "input": {"name": "crops", "shape": [3, _SIDE, _SIDE], "layout": "NCHW"},
        "preprocess": [{"step": "resize", "height": _SIDE, "width": _SIDE}],
        "dataset": {"kind": "folder", "classes": scene.objects + 1},
    }
