"""A benchmark as a user makes one: a YAML file, a small ONNX model, and a folder of images.

The model is linear, so NumPy computes its answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import yaml
from onnx import helper
from PIL import Image

from tests.backends.models import floats, model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = 5
SIZE = 8
HEIGHT, WIDTH = 10, 12
COUNT, WRONG = 12, 3
MEAN, STD = (110.0, 120.0, 130.0), (50.0, 60.0, 70.0)
IMAGES, LABELS, MODEL = "images", "labels.csv", "model.onnx"

YAML: Mapping[str, object] = {
    "name": "own",
    "models": [{"kind": "file", "path": MODEL}],
    "input": {"name": "x", "shape": [3, SIZE, SIZE], "dtype": "float32", "layout": "NCHW"},
    "output": "logits",
    "preprocess": [
        {"step": "center_crop", "height": SIZE, "width": SIZE},
        {"step": "normalize", "mean": list(MEAN), "std": list(STD)},
    ],
    "dataset": {"kind": "folder", "folder": IMAGES, "labels": LABELS, "classes": CLASSES},
    "performance_sample_count": 8,
    # So late that no busy machine misses it.
    "rounds": {"current": {"Server": {"target_latency_ms": 5000}}},
}


def make_benchmark(folder: Path) -> Path:
    """Make model, images and labels in `folder`, of which WRONG are wrong; return the YAML."""
    onnx.save(_classifier(), folder / MODEL)
    make_images(folder / IMAGES)
    right = answers(folder)
    lines = [
        f"{name},{(label + (k < WRONG)) % CLASSES}" for k, (name, label) in enumerate(right.items())
    ]
    (folder / IMAGES / LABELS).write_text("\n".join(["file,label", *lines]), "utf-8")
    return write_yaml(folder / "own.yaml")


def write_yaml(path: Path, **changes: object) -> Path:
    """Write a benchmark file with other values for some keys; None removes a key."""
    content = {key: value for key, value in {**YAML, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


def make_images(folder: Path) -> None:
    """Write COUNT images of noise."""
    folder.mkdir()
    for seed in range(COUNT):
        pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"image-{seed:02}.png")


def answers(folder: Path) -> dict[str, int]:
    """Return the class that the model says for each image, in the order of the labels' file."""
    names = [path.name for path in _images(folder)]
    rows = [sample.reshape(-1) for sample in samples(folder)]
    return {name: int(np.argmax(row @ _weights())) for name, row in zip(names, rows, strict=True)}


def samples(folder: Path) -> list[NDArray[np.float32]]:
    """Return what the benchmark feeds, in the order of the labels' file."""
    top, left = (HEIGHT - SIZE) // 2, (WIDTH - SIZE) // 2
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    found: list[NDArray[np.float32]] = []
    for path in _images(folder):
        pixels = np.asarray(Image.open(path), np.float32)
        crop = pixels[top : top + SIZE, left : left + SIZE]
        found.append(((crop - mean) / std).astype(np.float32).transpose(2, 0, 1))
    return found


def _images(folder: Path) -> list[Path]:
    return sorted((folder / IMAGES).glob("*.png"), reverse=True)


def _classifier() -> onnx.ModelProto:
    return model(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        ],
        [floats("x", "N", 3, SIZE, SIZE)],
        [floats("logits", "N", CLASSES)],
        {"w": _weights()},
    )


def _weights() -> NDArray[np.float32]:
    shape = (3 * SIZE * SIZE, CLASSES)
    return np.random.default_rng(COUNT).integers(-4, 5, shape).astype(np.float32)
