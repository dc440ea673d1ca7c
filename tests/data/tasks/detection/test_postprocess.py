"""Each kind of head becomes boxes in fractions of the original image, as its options say."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from data.strict_yaml import parse_strict
from data.tasks import records_of
from data.tasks.base import FrameFile, Frames
from data.tasks.detection.anchors import AnchorLevel, Anchors
from data.tasks.detection.categories import TABLES
from data.tasks.detection.distances import Distances
from data.tasks.detection.finished import Detections
from data.tasks.detection.heatmap import Heatmap
from data.tasks.detection.suppression import Limits, suppress
from data.tasks.detection.yolo import Yolo
from sut.base.errors import ConfigError, EngineError
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from data.tasks.base import Outputs
    from data.tasks.detection.boxes import BoxOptions

    Floats = NDArray[np.float32]

WIDE = Frames(height=100, width=200)


def boxes_of(options: BoxOptions, *outputs: NDArray[np.generic]) -> Floats:
    """Return the boxes of the first sample, whose index is 7."""
    indices = [7 + row for row in range(len(outputs[0]))]
    return options.records(WIDE)(outputs, indices)[0]


def head(*candidates: list[float]) -> Floats:
    """Return a YOLO head of one image, [1, numbers, 20]; the other candidates have no score."""
    found = np.zeros((20, len(candidates[0])), np.float32)
    found[: len(candidates)] = candidates
    return found.T[None]


ONE = head([50, 40, 20, 10, 0.1, 0.8, 0.0])
ONE_BOX = [7, 0.35, 0.2, 0.45, 0.3, 0.8, 1]


def test_a_yolo_head_becomes_sample_corners_score_and_class() -> None:
    assert boxes_of(Yolo(), ONE).tolist() == [pytest.approx(ONE_BOX)]


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (Yolo(transposed=True), ONE.transpose(0, 2, 1)),
        (Yolo(objectness=True), head([50, 40, 20, 10, 0.5, 0.1, 1.6, 0.0])),
        (Yolo(activation="sigmoid"), head([50, 40, 20, 10, -9, np.log(4), -9])),
        (Yolo(activation="softmax"), head([50, 40, 20, 10, 1, 1 + np.log(8), 1])),
        (
            Yolo(objectness=True, activation="sigmoid"),
            head([50, 40, 20, 10, np.log(9), -9, np.log(8), -9]),
        ),
        (Yolo(order="xyxy"), head([40, 35, 60, 45, 0.1, 0.8, 0.0])),
        (Yolo(order="yxyx"), head([35, 40, 45, 60, 0.1, 0.8, 0.0])),
        (Yolo(order="xywh"), head([40, 35, 20, 10, 0.1, 0.8, 0.0])),
        (Yolo(units="fractions"), head([0.25, 0.4, 0.1, 0.1, 0.1, 0.8, 0.0])),
        (Yolo(categories=(5, 1, 9)), ONE),
        (Yolo(background=0), head([50, 40, 20, 10, 0.9, 0.8, 0.0])),
        (Yolo(background=2, categories=(5, 1)), head([50, 40, 20, 10, 0.1, 0.8, 0.9])),
        (Yolo(background=0, categories=(1, 9)), head([50, 40, 20, 10, 0.9, 0.8, 0.0])),
    ],
)
def test_every_way_to_state_the_same_box_gives_the_same_record(
    options: Yolo, output: NDArray[np.float32]
) -> None:
    found = boxes_of(options, output)

    # An activation gives the candidates without an object up to a half.
    assert found[found[:, 5] > 0.51].tolist() == [pytest.approx(ONE_BOX, abs=1e-5)]


def test_the_table_of_coco_numbers_the_first_and_the_last_class() -> None:
    scores = np.zeros((2, 80), np.float32)
    scores[0, 79], scores[1, 0] = 0.9, 0.5
    output = np.concatenate([[[50, 40, 2, 2], [90, 40, 2, 2]], scores], axis=1)

    found = boxes_of(Yolo(categories="coco80", transposed=True), output.astype(np.float32)[None])

    assert found[:, 6].tolist() == [90, 1]
    assert len(TABLES["coco80"]) == 80


def test_a_class_without_a_category_is_refused() -> None:
    with pytest.raises(EngineError, match=r"class 1; .*classes 0 to 0.*postprocess.background"):
        boxes_of(Yolo(categories=(5,)), ONE)


def test_one_box_of_a_candidate_or_one_of_each_of_its_classes() -> None:
    output = head([50, 40, 20, 10, 0.6, 0.8, 0.0])

    assert boxes_of(Yolo(), output)[:, 6].tolist() == [1]
    assert boxes_of(Yolo(multi_label=True), output)[:, 6].tolist() == [1, 0]


def test_boxes_of_another_class_stay_unless_suppression_is_for_all() -> None:
    output = head([50, 40, 20, 10, 0.0, 0.8, 0.0], [51, 40, 20, 10, 0.6, 0.0, 0.0])

    assert len(boxes_of(Yolo(), output)) == 2
    assert len(boxes_of(Yolo(class_wise=False), output)) == 1
    assert len(boxes_of(Yolo(class_wise=False, iou=None), output)) == 2


def test_confidence_and_the_most_boxes_leave_out_the_worst() -> None:
    far = [[20.0 * k + 10, 40, 8, 8, 0.1 * k] for k in range(1, 9)]

    found = boxes_of(Yolo(confidence=0.35, max_boxes=4), head(*far))

    assert found[:, 5].tolist() == pytest.approx([0.8, 0.7, 0.6, 0.5])
    assert len(boxes_of(Yolo(max_candidates=3), head(*far))) == 3


def test_boxes_are_cut_at_the_image_only_if_asked() -> None:
    output = head([5, 95, 20, 20, 0.8])

    assert boxes_of(Yolo(), output)[0, 1:5].tolist() == pytest.approx([0.85, 0, 1, 0.075])
    assert boxes_of(Yolo(clip=False), output)[0, 1:5].tolist() == pytest.approx(
        [0.85, -0.025, 1.05, 0.075]
    )


def test_a_box_of_huge_numbers_is_cut_at_the_image_and_disturbs_no_other() -> None:
    others = [50, 40, 20, 10, 0.5], [51, 40, 20, 10, 0.4]

    found = boxes_of(Yolo(), head([3e38, 40, 3e38, 10, 0.8], *others))

    assert found[:, 5].tolist() == pytest.approx([0.8, 0.5])
    assert found[:, 1:5].min() >= 0
    assert found[:, 1:5].max() <= 1


def test_boxes_go_back_from_a_letterbox() -> None:
    # An image of 50 x 100 pixels at twice its size, with 10 pixels above.
    table = np.array([[0, 0, 0, 0], [1 / 100, 1 / 200, -0.1, 0]], np.float32)

    records = Yolo().records(Frames(120, 200, table))((head([100, 60, 40, 20, 0.5]),), [1])

    assert records[0].tolist() == [pytest.approx([1, 0.4, 0.4, 0.6, 0.6, 0.5, 0])]


def random_heads(dtype: str = "float32") -> NDArray[np.generic]:
    generator = np.random.default_rng(3)
    places = generator.uniform(0, 200, (6, 2, 500))
    sizes = generator.uniform(2, 60, (6, 2, 500))
    scores = generator.beta(0.3, 5, (6, 9, 500))
    return np.concatenate([places, sizes, scores], axis=1).astype(dtype)


@pytest.mark.parametrize("options", [Yolo(), Yolo(background=4), Yolo(multi_label=True)])
def test_half_precision_chooses_as_single_precision_does(options: Yolo) -> None:
    heads = random_heads("float16")

    half = options.records(WIDE)((heads,), range(6))
    single = options.records(WIDE)((heads.astype(np.float32),), range(6))

    assert all(np.array_equal(a, b) for a, b in zip(half, single, strict=True))
    assert min(len(found) for found in half) > 20


def test_half_precision_keeps_a_score_just_above_the_confidence() -> None:
    above = float(np.nextafter(np.float16(0.001), np.float16(0)))  # 0.001 is between two halves
    above = above if above > 0.001 else float(np.float16(0.001))

    found = boxes_of(Yolo(), head([50, 40, 20, 10, above]).astype(np.float16))

    assert found[:, 5].tolist() == [pytest.approx(above)]


def test_a_record_is_the_same_alone_and_in_a_batch_and_after_a_journey() -> None:
    heads, make = random_heads(), Yolo(categories=tuple(range(9))).records(WIDE)

    batch = make((heads,), range(6))
    alone = [pickle.loads(pickle.dumps(make))((heads[k : k + 1],), [k])[0] for k in range(6)]

    assert Responses.of(batch).block.tobytes() == Responses.of(alone).block.tobytes()


def test_an_image_without_boxes_is_an_empty_response() -> None:
    records = Yolo().records(WIDE)((np.zeros((2, 6, 30), np.float32),), [0, 1])

    assert Responses.of(records).sizes == (0, 0)


def test_suppression_is_the_greedy_one_of_each_class() -> None:
    generator = np.random.default_rng(5)
    low = generator.uniform(0, 80, (400, 2))
    boxes = np.concatenate([low, low + generator.uniform(5, 40, (400, 2))], 1).astype(np.float32)
    scores = generator.permutation(400).astype(np.float32)
    classes = generator.integers(0, 3, 400)

    kept: list[int] = []
    for candidate in np.argsort(-scores):
        if all(classes[candidate] != classes[k] or iou(boxes[candidate], boxes[k]) <= 0.4
               for k in kept):  # fmt: skip
            kept.append(int(candidate))

    assert suppress(boxes, scores, classes, Limits(0.4, 400, 400)).tolist() == kept
    assert suppress(boxes, scores, classes, Limits(0.4, 10, 400)).tolist() == kept[:10]


def iou(a: Floats, b: Floats) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(sides.prod())
    return both / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both)


PARTS: dict[str, NDArray[np.generic]] = {
    "num": np.array([1], np.float32),
    "boxes": np.array([[[0.35, 0.2, 0.45, 0.3], [0, 0, 1, 1]]], np.float32),
    "scores": np.array([[0.8, 0.7]], np.float32),
    "classes": np.array([[1, 2]], np.int64),
}


def test_a_model_that_chose_its_boxes_keeps_them() -> None:
    assert boxes_of(Detections(), *PARTS.values()).tolist() == [pytest.approx(ONE_BOX)]


def test_outputs_are_named_in_their_order_and_may_have_no_batch_axis() -> None:
    # As MLPerf's RetinaNet in ONNX: boxes [k, 4], scores [k], labels [k], in pixels.
    options = Detections(
        outputs=("boxes", "scores", "classes"), order="xyxy", units="pixels", confidence=0.05
    )
    boxes = np.array([[40, 35, 60, 45], [1, 1, 2, 2]], np.float32)
    outputs: Outputs = (boxes, np.array([0.8, 0.05], np.float32), np.array([1, 1]))

    (found,) = options.records(WIDE)(outputs, [7])

    assert found.tolist() == [pytest.approx(ONE_BOX)]


@pytest.mark.parametrize(
    ("columns", "rows", "count"),
    [
        (("box", "score", "class"), [[[40, 35, 60, 45, 0.8, 1], [0, 0, 0, 0, 0, 0]]], 1),
        (("sample", "box", "class", "score"), [[0, 40, 35, 60, 45, 1, 0.8]], 1),
        (
            ("sample", "class", "score", "box"),
            [[1, 1, 0.8, 4, 3, 6, 4], [0, 1, 0.8, 40, 35, 60, 45]],
            2,
        ),
    ],
)
def test_rows_of_all_numbers_have_their_columns_named(
    columns: tuple[str, ...], rows: list[object], count: int
) -> None:
    text = "{kind: detections, outputs: [rows], order: xyxy, units: pixels, "
    text += f"columns: [{', '.join(columns)}]}}"
    options = parse_strict(text, "m.yaml", Detections)

    records = options.records(WIDE)((np.array(rows, np.float32),), [7, 8][:count])

    assert records[0].tolist() == [pytest.approx(ONE_BOX)]
    assert len(records) == count


def test_a_background_class_of_chosen_boxes_is_left_out() -> None:
    options = Detections(background=0, categories=(1, 9))
    classes = np.array([[1, 0]])

    found = boxes_of(options, np.array([2]), PARTS["boxes"], PARTS["scores"], classes)

    assert found.tolist() == [pytest.approx(ONE_BOX)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outputs: [boxes, scores]", "outputs: classes is missing"),
        ("outputs: [boxes, boxes, scores, classes]", "outputs: boxes is repeated"),
        ("outputs: [rows], columns: [box, score]", "columns: class is missing"),
        ("outputs: [box]", "num, boxes, scores"),
        ("order: xxyy", "xyxy, yxyx, xywh, cxcywh"),
    ],
)
def test_a_description_from_which_no_box_can_be_made_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"m\.yaml:1: .*{said}"):
        parse_strict(f"{{kind: detections, {text}}}", "m.yaml", Detections)


LEVELS = (
    AnchorLevel(grid=(5, 10), step=20, sizes=((20, 10), (40, 40))),
    AnchorLevel(grid=(2, 4), step=50, sizes=((60, 30),)),
)


def anchored(row: int, difference: list[float], classes: int = 3) -> tuple[Floats, Floats]:
    """Return differences and scores of 108 anchors, of which one is an object of class 1."""
    boxes, scores = np.zeros((1, 108, 4), np.float32), np.zeros((1, 108, classes), np.float32)
    boxes[0, row], scores[0, row, 1] = difference, 0.8
    return boxes, scores


# Anchor 46 has its centre at (70, 50) and is 20 x 10: (50, 40) is one size to the upper left.
MOVED = [-10.0, -10.0, 0.0, 0.0]


def test_a_difference_moves_and_grows_its_anchor() -> None:
    found = boxes_of(Anchors(levels=LEVELS), *anchored(46, MOVED))
    grown = boxes_of(Anchors(levels=LEVELS), *anchored(46, [-10, -10, 5 * np.log(2), 0]))

    assert found.tolist() == [pytest.approx(ONE_BOX)]
    assert grown[0, 1:5].tolist() == pytest.approx([0.35, 0.15, 0.45, 0.35])


@pytest.mark.parametrize("change", ["axes", "transposed", "maps first", "maps last", "order"])
def test_every_layout_of_anchors_gives_the_same_record(change: str) -> None:
    boxes, scores = anchored(46, MOVED)
    options = Anchors(levels=LEVELS)
    outputs: Outputs = (boxes, scores)
    match change:
        case "axes":
            outputs = (boxes[:, :, None], scores)
        case "transposed":
            outputs = (boxes.transpose(0, 2, 1), scores.transpose(0, 2, 1))
        case "order":
            options = Anchors(levels=LEVELS, order="cycxhw")
            outputs = (boxes[:, :, [1, 0, 3, 2]], scores)
        case _:
            maps = [part for both in ((boxes, scores)) for part in (both[:, :100], both[:, 100:])]
            grids = [(5, 10), (2, 4)] * 2
            outputs = tuple(
                part.reshape(1, *grid, -1) for part, grid in zip(maps, grids, strict=True)
            )
            if change == "maps first":
                outputs = tuple(part.transpose(0, 3, 1, 2) for part in outputs)
            options = Anchors(levels=LEVELS, outputs=("boxes", "boxes", "scores", "scores"))

    assert boxes_of(options, *outputs).tolist() == [pytest.approx(ONE_BOX)]


@pytest.mark.parametrize("background", [None, 0, 1, 2])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_all_levels_in_one_output_give_what_they_give_level_by_level(
    background: int | None, activation: Literal["sigmoid", "softmax"]
) -> None:
    random = np.random.default_rng(3)
    boxes, scores = (random.normal(0, 2, (2, 108, n)).astype(np.float32) for n in (4, 3))
    common: dict[str, Any] = {
        "levels": LEVELS, "background": background, "activation": activation, "confidence": 0.6,
    }  # fmt: skip
    parts = [both[:, of] for both in (boxes, scores) for of in (slice(100), slice(100, None))]

    whole = boxes_of(Anchors(**common), boxes, scores)
    by_level = boxes_of(Anchors(**common, outputs=("boxes",) * 2 + ("scores",) * 2), *parts)

    assert len(whole) > 3
    assert whole.tolist() == by_level.tolist()
    assert background not in whole[:, 6].tolist()


def test_a_level_gives_its_best_candidates_alone() -> None:
    boxes, scores = np.zeros((1, 108, 4), np.float32), np.ones((1, 108, 1), np.float32)

    found = boxes_of(Anchors(levels=LEVELS, level_candidates=3, iou=None), boxes, scores)

    assert len(found) == 6


def test_anchors_and_outputs_that_do_not_fit_are_named() -> None:
    boxes, scores = anchored(46, MOVED)

    with pytest.raises(EngineError, match=r"\[1, 107, 4\].*108.*100 \+ 8"):
        boxes_of(Anchors(levels=LEVELS), boxes[:, 1:], scores)
    with pytest.raises(EngineError, match=r"3 numbers a candidate; expected 4"):
        boxes_of(Anchors(levels=LEVELS), scores, boxes)
    with pytest.raises(ValueError, match="boxes is there 3 times"):
        Anchors(levels=LEVELS, outputs=("boxes", "boxes", "boxes", "scores"))


def test_torchvisions_anchors_are_a_level() -> None:
    """As RetinaNet's first level: offset 0, and the growth that torchvision allows."""
    level = AnchorLevel(grid=(13, 25), step=8, sizes=((45, 23),), offset=0)
    boxes = np.zeros((1, 325, 4), np.float32)
    boxes[0, 4 * 25 + 6] = [0, 0, 99, 0]
    scores = np.zeros((1, 325, 2), np.float32)
    scores[0, 4 * 25 + 6, 1] = 0.9
    options = Anchors(levels=(level,), variances=(1, 1), clip=False)

    found = boxes_of(options, boxes, scores)

    width = 45 * 1000 / 16
    assert found[0, 1:5].tolist() == pytest.approx(
        [(32 - 11.5) / 100, (48 - width / 2) / 200, (32 + 11.5) / 100, (48 + width / 2) / 200]
    )


def distances(bins: int, stride: int = 8) -> tuple[Floats, Floats]:
    """Return scores and sides of the cells of stride 8 of which one, (4, 6), is an object."""
    rows, columns = -(-100 // stride), -(-200 // stride)
    scores = np.zeros((1, rows * columns, 3), np.float32)
    sides = np.zeros((1, rows * columns, 4 * bins), np.float32)
    cell = 4 * columns + 6  # its point is (52, 36)
    scores[0, cell, 1] = 0.8
    if bins == 1:
        sides[0, cell] = [1.5, 0.125, 1, 1.125]
    else:
        wide = np.full((4, bins), -99.0)
        wide[[0, 0, 2], [1, 2, 1]] = 0, 0, 0  # 1.5 and 1: half in a bin each, and all in one
        wide[1, :2] = np.log([7, 1])  # 0.125
        wide[3, 1:3] = np.log([7, 1])  # 1.125
        sides[0, cell] = wide.ravel() + 1000  # exp of that is infinite
    return scores, sides


@pytest.mark.parametrize("bins", [1, 11])
@pytest.mark.parametrize("change", ["as it is", "reversed", "in one", "maps"])
def test_distances_of_a_cell_become_a_box(bins: int, change: str) -> None:
    outputs: Outputs = distances(bins)
    match change:
        case "reversed":
            outputs = outputs[::-1]
        case "in one":
            outputs = (np.concatenate(outputs, axis=2),)
        case "maps":
            outputs = tuple(part.transpose(0, 2, 1).reshape(1, -1, 13, 25) for part in outputs)

    found = boxes_of(Distances(strides=(8,), bins=bins), *outputs)

    assert found.tolist() == [pytest.approx(ONE_BOX)]


def test_levels_of_distances_may_be_apart_or_together() -> None:
    first, second = distances(1), distances(1, stride=16)
    options = Distances(strides=(8, 16), iou=None)
    together = tuple(np.concatenate(parts, axis=1) for parts in zip(first, second, strict=True))

    apart = boxes_of(options, second[1], first[0], second[0], first[1])

    assert apart.tolist() == boxes_of(options, *together).tolist()
    assert len(apart) == 2
    pixels = boxes_of(Distances(strides=(8,), unit="pixels"), first[0], first[1] * 8)
    assert pixels.tolist() == [pytest.approx(ONE_BOX)]


def test_distances_with_another_number_of_bins_are_named() -> None:
    with pytest.raises(EngineError, match=r"325 cells .*postprocess.bins"):
        boxes_of(Distances(strides=(8,), bins=16), *distances(11))
    with pytest.raises(EngineError, match=r"\[1, 325, 3\].*expected \[1, 91"):
        boxes_of(Distances(strides=(16,)), *distances(1))


def heat() -> dict[str, Floats]:
    """Return maps of 25 x 50 cells of 4 pixels; the cell (10, 12) is the peak of class 1."""
    maps = {name: np.zeros((1, 25, 50, k), np.float32)
            for name, k in (("heat", 3), ("sides", 4), ("size", 2), ("offset", 2))}  # fmt: skip
    maps["heat"][0, 9:12, 11:14, 1] = 0.5
    maps["heat"][0, 10, 12, 1] = 0.8
    maps["sides"][0, 10, 12] = [2, 1.25, 3, 1.25]
    maps["size"][0, 10, 12] = [5, 2.5]
    maps["offset"][0, 10, 12] = [0.5, 0]
    return maps


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("outputs", [("heat", "size", "offset"), ("sides", "heat")])
def test_a_peak_of_heat_becomes_a_box(outputs: tuple[str, ...], first: bool) -> None:
    text = f"{{kind: heatmap, outputs: [{', '.join(outputs)}]}}"
    parts = [heat()[name] for name in outputs]
    if first:
        parts = [part.transpose(0, 3, 1, 2) for part in parts]

    found = boxes_of(parse_strict(text, "m.yaml", Heatmap), *parts)

    assert found.tolist() == [pytest.approx(ONE_BOX)]


def test_a_neighbourhood_of_one_cell_has_a_peak_everywhere() -> None:
    options = Heatmap(neighbourhood=1)
    parts = [heat()[name] for name in options.outputs]

    assert len(boxes_of(options, *parts)) == 9


def test_outputs_in_another_order_are_named() -> None:
    maps = heat()

    with pytest.raises(EngineError, match=r"output with size has 4 numbers a cell; expected 2"):
        boxes_of(Heatmap(outputs=("heat", "size")), maps["heat"], maps["sides"])
    with pytest.raises(EngineError, match=r"1 outputs; postprocess.outputs names 3"):
        boxes_of(Heatmap(), maps["heat"])
    with pytest.raises(ConfigError, match="neighbourhood: got 2; expected an odd number"):
        parse_strict("{kind: heatmap, neighbourhood: 2}", "m.yaml", Heatmap)


def test_frames_open_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.npy"
    np.save(path, np.array([[1 / 100, 1 / 200, 0, 0]] * 9, np.float32))

    records = records_of(Yolo(), FrameFile(100, 200, str(path)))((ONE,), [7])

    assert records[0].tolist() == [pytest.approx(ONE_BOX)]
