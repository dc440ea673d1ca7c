"""Models, labels and images that would give a wrong figure without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.backends.models import floats, model
from tests.sut.helpers import folders, own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sut.helpers.program import Done, Program

pytestmark = pytest.mark.slow

QUICK = ("--min-duration-s", 0.001, "--min-query-count", 24)


def run(program: Program, benchmark: Path, *words: object) -> Done:
    out = benchmark.parent / "out"
    return program.run("run", "-b", benchmark, "-s", "Offline", *QUICK, "--out", out, *words)


def with_weights(folder: Path, change: Callable[[Any], None]) -> Path:
    """Return the own benchmark with other weights in its model."""
    benchmark = own.make_benchmark(folder)
    proto = onnx.load(folder / own.MODEL)
    (held,) = proto.graph.initializer
    weights = numpy_helper.to_array(held).copy()
    change(weights)
    held.CopyFrom(numpy_helper.from_array(weights, held.name))
    onnx.save(proto, folder / own.MODEL)
    return benchmark


def one_nan(weights: Any) -> None:
    weights[7, 2] = np.nan


def relabelled(folder: Path, change: Callable[[int], int]) -> None:
    """Write other labels."""
    lines = [f"{name},{change(label)}" for name, label in own.answers(folder).items()]
    (folder / own.IMAGES / own.LABELS).write_text("\n".join(lines), "utf-8")


def dataset(**changes: object) -> dict[str, object]:
    return {"kind": "folder", "folder": own.IMAGES, "labels": own.LABELS, **changes}


@pytest.mark.parametrize("workers", ["inline", "thread", "process"])
def test_n6_a_performance_run_counts_answers_that_are_not_numbers(
    program: Program, tmp_path: Path, workers: str
) -> None:
    benchmark = with_weights(tmp_path, one_nan)

    done = run(program, benchmark, "--workers", workers)

    assert done.code == 0, done.err
    summary = folders.summary(tmp_path / "out")
    samples = summary["samples"]
    assert f"{samples} of {samples} samples have NaN" in summary["findings"][0]
    assert "samples have NaN" in done.out


def test_n6_only_the_samples_in_question_count(program: Program, tmp_path: Path) -> None:
    own.make_benchmark(tmp_path)
    relabelled(tmp_path, lambda _: 0)
    benchmark = own.write_yaml(tmp_path / "own.yaml", dataset=dataset())
    # The square root of the sum of all pixels, of which about half are below 0.
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("ReduceSum", ["flat", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sqrt", ["sum"], ["root"]),
        helper.make_node("Concat", ["root", "sum"], ["logits"], axis=1),
    ]
    taken, given = floats("x", "N", 3, own.SIZE, own.SIZE), floats("logits", "N", 2)
    proto = model(nodes, [taken], [given], {"axes": np.array([1])})
    onnx.save(proto, tmp_path / own.MODEL)
    sums = [sample.sum() for sample in own.samples(tmp_path)]
    bad = sum(value < 0 for value in sums)
    assert 0 < bad < own.COUNT

    done = run(program, benchmark, "--mode", "accuracy", "--max-batch-size", 5)

    assert done.code == 1
    assert f"{bad} of {own.COUNT} samples have NaN" in done.err


@pytest.mark.parametrize("workers", ["inline", "process"])
def test_n6_an_accuracy_run_with_such_answers_fails(
    program: Program, tmp_path: Path, workers: str
) -> None:
    benchmark = with_weights(tmp_path, one_nan)

    done = run(program, benchmark, "--mode", "accuracy", "--workers", workers)

    assert done.code == 1
    assert f"{own.COUNT} of {own.COUNT} samples have NaN" in done.err
    assert not (tmp_path / "out" / "summary.json").exists()


def test_n4_a_model_with_one_score_a_sample_names_the_postprocess_for_it(
    program: Program, tmp_path: Path
) -> None:
    own.make_benchmark(tmp_path)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["logits"]),
    ]
    weights = np.random.default_rng(3).standard_normal((3 * own.SIZE**2, 1)).astype(np.float32)
    tensors = [floats("x", "N", 3, own.SIZE, own.SIZE)], [floats("logits", "N", 1)]
    onnx.save(model(nodes, *tensors, {"w": weights}), tmp_path / own.MODEL)
    right = [int(float((x.reshape(1, -1) @ weights).item()) > 0) for x in own.samples(tmp_path)]
    assert 0 < sum(right) < own.COUNT
    names = own.answers(tmp_path)
    labels = [f"{name},{label}" for name, label in zip(names, right, strict=True)]
    (tmp_path / own.IMAGES / own.LABELS).write_text("\n".join(labels), "utf-8")
    two = dataset(classes=2)

    refused = run(program, own.write_yaml(tmp_path / "a.yaml", dataset=two), "--mode", "accuracy")
    kind = {"kind": "threshold"}
    judged = own.write_yaml(tmp_path / "b.yaml", dataset=two, postprocess=kind)
    done = run(program, judged, "--mode", "accuracy")

    assert refused.code == 2
    assert "postprocess threshold" in refused.err
    assert done.code == 0, done.err
    assert folders.summary(tmp_path / "out")["accuracy"]["value"] == 1.0


@pytest.mark.parametrize(
    ("change", "said", "keys"),
    [
        (lambda label: min(label + 2, 5), "class_offset to 1", {"dataset": dataset()}),
        (lambda label: label, "Leave out", {"postprocess": {"kind": "argmax", "class_offset": -1}}),
    ],
)
def test_n7_labels_outside_the_models_classes_are_refused(
    program: Program,
    tmp_path: Path,
    change: Callable[[int], int],
    said: str,
    keys: dict[str, object],
) -> None:
    own.make_benchmark(tmp_path)
    relabelled(tmp_path, change)
    benchmark = own.write_yaml(tmp_path / "own.yaml", **keys)

    done = run(program, benchmark, "--mode", "accuracy")

    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_n7_the_remedy_for_labels_from_1_works(program: Program, tmp_path: Path) -> None:
    own.make_benchmark(tmp_path)
    relabelled(tmp_path, lambda label: label + 1)
    offset = {"kind": "argmax", "class_offset": 1}
    benchmark = own.write_yaml(tmp_path / "own.yaml", dataset=dataset(), postprocess=offset)

    done = run(program, benchmark, "--mode", "accuracy")

    assert done.code == 0, done.err
    assert folders.summary(tmp_path / "out")["accuracy"]["value"] == 1.0


def test_n7_answers_one_class_off_are_a_finding(program: Program, tmp_path: Path) -> None:
    own.make_benchmark(tmp_path)
    relabelled(tmp_path, lambda label: max(label - 1, 0))
    benchmark = own.write_yaml(tmp_path / "own.yaml", dataset=dataset())

    done = run(program, benchmark, "--mode", "accuracy")

    assert done.code == 0, done.err
    assert "one above the label" in done.out
