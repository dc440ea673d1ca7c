"""Boxes that torch chooses on the device: equal to those of the worker's postprocess."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec, open_engine
from backends.options import read_options
from data.tasks import records_of
from data.tasks.base import FrameFile
from data.tasks.detection.yolo import Yolo
from data.tasks.other import Raw
from sut.base.errors import ConfigError
from sut.serve.samples import SampleReader, SampleSource
from sut.serve.workers.executor import Executor, ExecutorSpec
from tests.backends.models import floats, model, save

torch = pytest.importorskip("torch", reason="torch is not installed")

from onnx import helper  # noqa: E402 - after the check that torch is there

from backends.torch.boxes import Boxes, Head  # noqa: E402

# torch says so of TorchScript at every turn, which its compiler imports.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*torch\.jit:DeprecationWarning")

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from backends.base import OptionValue
    from data.tasks.base import Postprocess

    Options = Mapping[str, OptionValue]

SIDE = 64
CANDIDATES, CLASSES = 400, 7
INPUT = TensorSpec("head", (4 + CLASSES, CANDIDATES), "float32")


def head(seed: int, images: int = 3, dtype: type = np.float32) -> NDArray[Any]:
    """Return a head's output: boxes in heaps, on quarters of a pixel, so that no sum is rounded."""
    random = np.random.default_rng(seed)
    found = np.zeros((images, 4 + CLASSES, CANDIDATES))
    centres = random.integers(8, SIDE - 8, (images, 2, 12))
    for image in range(images):
        heap = random.integers(0, 12, CANDIDATES)
        found[image, :2] = centres[image][:, heap] + random.integers(-8, 9, (2, CANDIDATES)) / 4
        found[image, 2:4] = random.integers(16, 48, (2, CANDIDATES)) / 2
    # Few different scores, so that many are equal.
    found[:, 4:] = np.maximum(0, random.integers(-60, 64, (images, CLASSES, CANDIDATES))) / 64
    return found.astype(dtype)


def of_worker(spec: Yolo, output: NDArray[Any]) -> list[NDArray[np.float32]]:
    records = records_of(spec, FrameFile(SIDE, SIDE))((output,), range(len(output)))
    return [np.asarray(record) for record in records]


def of_device(
    spec: Yolo, output: NDArray[Any], candidates: int = CANDIDATES
) -> list[NDArray[np.float32]]:
    on_device = spec.on_device()
    assert on_device is not None
    told, left = on_device
    boxes = Boxes(read_options(told, Head, "test"), candidates)(torch.from_numpy(output)).numpy()
    assert boxes.shape == (len(output), spec.max_boxes, 6)
    records = records_of(left, FrameFile(SIDE, SIDE))((boxes,), range(len(output)))
    return [np.asarray(record) for record in records]


SPECS = {
    "as the reference": Yolo(),
    "of COCO": Yolo(categories=tuple(range(11, 11 + CLASSES)), confidence=0.25),
    "few boxes": Yolo(max_boxes=5, iou=0.5),
    "all classes together": Yolo(class_wise=False, iou=0.3),
    "no suppression": Yolo(iou=None),
    "logits": Yolo(activation="sigmoid", confidence=0.6),
    "corner and size, uncut": Yolo(order="xywh", clip=False),
    "y before x": Yolo(order="yxyx", clip=False, iou=0.4),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_boxes_of_the_device_are_those_of_the_worker(name: str, dtype: type) -> None:
    output = head(1, dtype=dtype)

    found, want = of_device(SPECS[name], output), of_worker(SPECS[name], output)

    assert min(map(len, want)) > 4
    for one, other in zip(found, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_a_transposed_output_is_read_as_the_worker_reads_it() -> None:
    output = np.ascontiguousarray(head(2).transpose(0, 2, 1))

    for spec in (Yolo(), Yolo(transposed=True)):
        for one, other in zip(of_device(spec, output), of_worker(spec, output), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_best_candidates_alone_give_the_best_boxes() -> None:
    output = head(3)

    some = of_device(Yolo(), output, candidates=60)

    for one, other in zip(some, of_worker(Yolo(), output), strict=True):
        assert 0 < len(one) < len(other)
        np.testing.assert_array_equal(one, other[: len(one)])


def test_an_image_without_boxes_has_none() -> None:
    output = head(4)
    output[1, 4:] = 0

    assert [len(record) > 0 for record in of_device(Yolo(), output)] == [True, False, True]


def test_an_output_that_is_not_a_number_is_no_box_and_is_counted() -> None:
    output = head(5)
    output[1, 6, 17] = np.nan
    on_device = Yolo().on_device()
    assert on_device is not None

    boxes = Boxes(read_options(on_device[0], Head, "test"), 100)(torch.from_numpy(output)).numpy()

    assert np.isnan(boxes[1]).all()
    assert np.isfinite(boxes[[0, 2]]).all()
    assert [len(record) > 0 for record in of_device(Yolo(), output)] == [True, False, True]


def test_no_box_stays_beside_a_better_one_however_long_the_chain() -> None:
    """Each box overlaps the next one: more links than rounds; boxes may be missing at the end."""
    output = np.zeros((1, 5, 200), np.float32)
    output[0, 0] = np.arange(200) / 4
    output[0, 1:4] = [[32.0], [1.0], [16.0]]
    output[0, 4] = np.linspace(0.9, 0.5, 200)
    spec = Yolo(iou=0.5, clip=False)

    found, want = of_device(spec, output)[0], of_worker(spec, output)[0]

    assert len(want) == 100
    kept = set(found[:, 2].tolist())
    assert kept <= set(want[:, 2].tolist())
    assert len(kept) >= 15


# Through the engine and the executor


def engine_spec(
    path: Path, postprocess: Postprocess, options: Options, device: str = "cpu"
) -> EngineSpec:
    on_device = postprocess.on_device()
    return EngineSpec(
        "torch", str(path), (INPUT,), None, 4, device,
        options=options, slots=2, postprocess=on_device[0] if on_device else {},
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a model that answers with what it is fed: the head of a YOLO."""
    fed, answered = (floats(name, "N", *INPUT.sizes) for name in ("head", "output0"))
    node = helper.make_node("Identity", ["head"], ["output0"])
    return Path(save(model([node], [fed], [answered]), tmp_path))


def boxes_of(
    path: Path, options: Options, device: str = "cpu"
) -> tuple[Mapping[str, object], NDArray[np.float32]]:
    """Return facts, and what the worker logs of samples 2, 0 and 3."""
    np.save(path.with_suffix(".npy"), head(6, images=4))
    postprocess = Yolo(max_boxes=20)
    engine = engine_spec(path, postprocess, options, device)
    executor = Executor(ExecutorSpec(engine, postprocess, threads=2))
    frames = FrameFile(SIDE, SIDE)
    source = SampleSource((str(path.with_suffix(".npy")),), 4, (INPUT,), (0, 1, 2, 3), frames)
    reader = SampleReader()
    executor.load(reader.read(source, executor.memory))
    executor.launch(0, [2, 0, 3])
    responses, _, _ = executor.wait(0, [2, 0, 3])
    facts = executor.facts()
    executor.close()
    reader.close()
    return facts, np.frombuffer(responses.block.tobytes(), np.float32).reshape(-1, 7)


def test_the_worker_logs_the_boxes_of_the_device(path: Path) -> None:
    facts, found = boxes_of(path, {"postprocess": "device"})
    _, want = boxes_of(path, {})

    assert facts["postprocess"] == "device"
    assert set(want[:, 0]) == {0.0, 2.0, 3.0}
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_compiled_boxes_in_a_cuda_graph_are_the_same(path: Path) -> None:
    _, found = boxes_of(path, {"postprocess": "device", "graph_sizes": "4"}, "0")
    _, want = boxes_of(path, {})

    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


def test_fewer_candidates_are_an_option(path: Path) -> None:
    _, found = boxes_of(path, {"postprocess": "device", "candidates": 4})

    assert 0 < len(found) <= 3 * 4


@pytest.mark.parametrize("spec", [Raw(), Yolo(multi_label=True), Yolo(objectness=True)])
def test_a_postprocess_that_the_device_cannot_do_is_refused(path: Path, spec: Postprocess) -> None:
    with pytest.raises(ConfigError, match=r'"postprocess" is device, .*postprocess=worker'):
        open_engine(engine_spec(path, spec, {"postprocess": "device"}))
