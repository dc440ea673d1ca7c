"""A detector by a YAML file alone: from the photos to the line that MLPerf's script prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper
from PIL import Image

from tests.backends.models import floats, model
from tests.extras import needs_pycocotools
from tests.sut.helpers import folders

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Done, Program

pytestmark = [pytest.mark.slow, needs_pycocotools]

COUNT, WRONG, SIDE, CANDIDATES = 12, 3, 32, 20
# The one box that the model sees in any image, in pixels of its input: centre and size.
BOX, CLASS = (16.0, 16.0, 8.0, 6.0), 1
YAML = {
    "name": "own-detector",
    "task": "detection",
    "models": [{"kind": "file", "path": "model.onnx"}],
    "input": {"name": "x", "shape": [3, SIDE, SIDE], "dtype": "float32", "layout": "NCHW"},
    "preprocess": [
        {"step": "letterbox", "height": SIDE, "width": SIDE},
        {"step": "normalize", "std": 255},
    ],
    "dataset": {"kind": "coco", "folder": "data", "annotations": "boxes.json", "images": "."},
    "postprocess": {"kind": "yolo", "categories": [7, 9, 11]},
    "accuracy": {"metric": "mAP", "target": 0.7, "count": COUNT},
    "performance_sample_count": 8,
}


def make(folder: Path, **changes: object) -> Path:
    """Make model, photos and annotations, of which the last WRONG are wrong; return the YAML."""
    head = np.zeros((1, 7, CANDIDATES), np.float32)
    head[0, :4, 5], head[0, 4 + CLASS, 5] = BOX, 0.75
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "first"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["shape"], axis=0),
        helper.make_node("Expand", ["head", "shape"], ["boxes"]),
    ]
    constants = {"first": np.array([0]), "rest": np.array([7, CANDIDATES]), "head": head}
    made = model(
        nodes, [floats("x", "N", 3, SIDE, SIDE)], [floats("boxes", "N", 7, CANDIDATES)], constants
    )
    onnx.save(made, folder / "model.onnx")
    (folder / "data").mkdir()
    images, boxes = [], []
    for k in range(COUNT):
        width, height = 40 + 2 * k, 64  # a letterbox of scale 1/2, with borders left and right
        Image.new("RGB", (width, height)).save(folder / "data" / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png", "height": height, "width": width})
        border = (SIDE - width // 2) // 2
        x, y = 2 * (BOX[0] - BOX[2] / 2 - border), 2 * (BOX[1] - BOX[3] / 2)
        moved = 12 * (k >= COUNT - WRONG)
        boxes.append({"id": k + 1, "image_id": k, "category_id": 9, "iscrowd": 0, "area": 192,
                      "bbox": [x, y + moved, 2 * BOX[2], 2 * BOX[3]]})  # fmt: skip
    (folder / "data" / "boxes.json").write_text(
        json.dumps({"images": images, "annotations": boxes})
    )
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**YAML, **changes}))
    return path


def accuracy(program: Program, benchmark: Path) -> Done:
    out = benchmark.parent / "out"
    words = ("-s", "Offline", "--mode", "accuracy", "--out", out)
    return program.run("run", "-b", benchmark, *words)


def test_a_detector_needs_no_python(program: Program, tmp_path: Path) -> None:
    done = accuracy(program, make(tmp_path))

    # Nine of twelve are right and come first: 76 of the 101 recalls are reached, without an error.
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "accuracy.txt").read_text() == "mAP=75.248%\n"
    found = folders.summary(tmp_path / "out")["accuracy"]
    assert (found["metric"], found["n"], found["verdict"]) == ("mAP", COUNT, True)
    low, high = found["interval_95"]
    assert 0.4 < low < 0.75248 < high <= 1


def test_a_wrong_order_of_the_box_is_a_finding(program: Program, tmp_path: Path) -> None:
    described = {"kind": "yolo", "categories": [7, 9, 11], "order": "xyxy"}

    done = accuracy(program, make(tmp_path, postprocess=described))

    said = "12 of 12 boxes have ymin above ymax, or xmin above xmax: change postprocess.order"
    assert said in done.out
    assert any(said in finding for finding in folders.summary(tmp_path / "out")["findings"])
