"""A pipeline whose answers are known: frames say in their first row which boxes they hold.

Pixel (0, 4 i + j) of a frame has coordinate j of box i in red; pixel (0, 4 i) its score in 1/255 in
green and its class in blue. A detector of five nodes reads them. The classifier of crops answers
with the colour that is strongest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper

from backends.base import TensorSpec
from sut.config.settings import HarnessSettings
from sut.config.workload import Model, Workload
from sut.video.flow.stage import StagePlan
from sut.video.pipeline_file import load_pipeline
from sut.video.sources.base import ClipFacts
from sut.video.sources.memory import Frames
from tests.backends.models import model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from backends.base import OptionValue
    from sut.video.flow.seen import Seen

# Pixels, and boxes of a frame. Fractions of powers of two are exact.
HEIGHT, WIDTH, MOST = 32, 64, 4
CROP = 8
RATE = 25.0
CLASSES = {"thing": 1, "other": 2}
COLOURS = {"red": 0, "green": 1, "blue": 2}

Box = tuple[int, int, int, int, int, int]  # x1, y1, x2, y2, score in 1/255, class


def picture(boxes: Sequence[Box], colour: int = 0) -> NDArray[np.uint8]:
    """Return a frame that says where its boxes are; all but the first row is of one colour."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[1:, :, colour] = 200
    for row, (x1, y1, x2, y2, score, label) in enumerate(boxes):
        image[0, 4 * row : 4 * row + 4, 0] = (x1, y1, x2, y2)
        image[0, 4 * row, 1:] = (score, label)
    return image


def frames(pictures: Sequence[NDArray[np.uint8]], rate: float = RATE, name: str = "made") -> Frames:
    """Return a source of these frames."""
    height, width = pictures[0].shape[:2]
    facts = ClipFacts(name, "raw", width, height, rate, len(pictures), decoder="memory")
    return Frames(facts, [(number / rate, image) for number, image in enumerate(pictures)])


def walk(count: int, stream: int = 0) -> list[NDArray[np.uint8]]:
    """Return frames in which one box walks to the right, from a place of its own in each stream."""
    return [
        picture([(1 + k % 16, 4 + stream, 11 + k % 16, 14 + stream, 255, 1)], stream % 3)
        for k in range(count)
    ]


def write_models(folder: Path) -> None:
    """Write the detector, the classifier and their benchmarks into a folder."""
    onnx.save(_detector(), folder / "boxes.onnx")
    onnx.save(_classifier(), folder / "colour.onnx")
    detector = {
        "name": "boxes",
        "task": "detection",
        "models": [{"kind": "file", "path": "boxes.onnx"}],
        "input": {"name": "x", "shape": [3, HEIGHT, WIDTH], "layout": "NCHW"},
        "dataset": {"kind": "folder"},
        "postprocess": {
            "kind": "detections",
            "outputs": ["boxes", "scores", "classes"],
            "order": "xyxy",
            "units": "pixels",
            "confidence": 0.1,
        },
        "accuracy": {"metric": "mAP"},
    }
    classifier = {
        "name": "colour",
        "models": [{"kind": "file", "path": "colour.onnx"}],
        "input": {"name": "x", "shape": [3, CROP, CROP], "layout": "NCHW"},
        "preprocess": [{"step": "resize", "height": CROP, "width": CROP}],
        "dataset": {"kind": "folder", "classes": 3},
    }
    for benchmark in (detector, classifier):
        (folder / f"{benchmark['name']}.yaml").write_text(yaml.safe_dump(benchmark), "utf-8")


def write_pipeline(folder: Path, stages: Sequence[Mapping[str, object]] | None = None) -> Path:
    """Write models and a pipeline of detector and classifier; return its file."""
    write_models(folder)
    path = folder / "pipeline.yaml"
    content = {"name": "made", "stages": list(stages or (detect(), classify()))}
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def detect(**changes: object) -> dict[str, object]:
    """Return the stage of the detector."""
    return {"name": "find", "benchmark": "boxes.yaml", "classes": dict(CLASSES), **changes}


def classify(**changes: object) -> dict[str, object]:
    """Return the stage of the classifier."""
    crops = {"of": "find", "min_side": 2}
    return {
        "name": "tell",
        "benchmark": "colour.yaml",
        "classes": dict(COLOURS),
        "crops": crops,
    } | changes


def plans(path: Path, backend: str = "onnxruntime", **options: OptionValue) -> list[StagePlan]:
    """Return what opens the stages of a pipeline's file, on a backend that may need no model."""
    pipeline = load_pipeline(str(path))
    found = []
    for spec, benchmark in zip(pipeline.spec.stages, pipeline.benchmarks, strict=True):
        workload = Workload(
            benchmark=benchmark.name,
            loadgen_model=benchmark.name,
            model=Model(str(path.parent / f"{benchmark.name}.onnx"), "0" * 64, "made")
            if backend == "onnxruntime"
            else None,
            inputs=tuple(TensorSpec(t.name, t.shape, t.dtype) for t in benchmark.inputs),
            output_name=None,
            postprocess=benchmark.postprocess,
            performance_sample_count=1,
        )
        harness = HarnessSettings(
            backend=backend,
            workers="thread",
            devices=("cpu",),
            instances=spec.instances or 1,
            max_batch_size=4,
            max_queue_delay_us="late",
            slots=1,
            backend_options=dict(options),
        )
        found.append(StagePlan(spec, benchmark, workload, harness))
    return found


def _detector() -> onnx.ModelProto:
    """Return x [N, 3, H, W] -> boxes [N, MOST, 4], scores [N, MOST], classes [N, MOST]."""
    ints = {
        "zero": [0], "one": [1], "two": [2], "three": [3], "last": [4 * MOST], "rows": [2],
        "columns": [3], "channel": [1], "quads": [0, 3, MOST, 4], "pairs": [0, 3, MOST],
        "flat": [0, MOST, 4], "list": [0, MOST],
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "rows"], ["row"]),
        helper.make_node("Slice", ["row", "zero", "last", "columns"], ["said"]),
        helper.make_node("Reshape", ["said", "quads"], ["by_box"]),
        helper.make_node("Slice", ["by_box", "zero", "one", "channel"], ["red"]),
        helper.make_node("Reshape", ["red", "flat"], ["boxes"]),
        helper.make_node("Slice", ["by_box", "zero", "one", "columns"], ["firsts"]),
        helper.make_node("Slice", ["firsts", "one", "two", "channel"], ["green"]),
        helper.make_node("Slice", ["firsts", "two", "three", "channel"], ["blue"]),
        helper.make_node("Reshape", ["green", "list"], ["score"]),
        helper.make_node("Div", ["score", "full"], ["scores"]),
        helper.make_node("Reshape", ["blue", "list"], ["classes"]),
    ]
    return model(
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, HEIGHT, WIDTH])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", MOST, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", MOST]),
            helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["N", MOST]),
        ],
        {
            **{name: np.array(values, np.int64) for name, values in ints.items()},
            "full": np.array(255, np.float32),
        },
    )


def _classifier() -> onnx.ModelProto:
    """Return x [N, 3, CROP, CROP] -> the mean of each colour, [N, 3]."""
    return model(
        [helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, CROP, CROP])],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, ["N", 3])],
        {},
    )


class Keeping:
    """A sink that keeps what it gets, by stream."""

    sees_pixels = False
    sees_frames = True

    def __init__(self) -> None:
        self.seen: dict[int, list[Seen]] = defaultdict(list)

    def frame(self, seen: Seen) -> None:
        self.seen[seen.frame.stream].append(seen)

    def close(self) -> list[str]:
        return []
