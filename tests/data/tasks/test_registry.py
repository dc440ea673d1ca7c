"""A task is one file and one line: whatever it brings, a benchmark file may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.schema import BenchmarkSpec
from data.strict_yaml import parse_strict
from data.tasks import TASKS, classification, judge_of, label_reader
from sut.base.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
YAML = """name: mine
input: {name: x, shape: [3, 4, 4], layout: NCHW}
dataset: {kind: synthetic, count: 4}
"""
LEVELS = "levels: [{grid: [1, 1], step: 4, sizes: [[4, 4]]}]"
KINDS = [
    (task, kind.__struct_config__.tag) for task in TASKS.values() for kind in task.postprocesses
]


@pytest.mark.parametrize(("task", "kind"), KINDS)
def test_a_benchmark_may_name_every_task_kind_and_metric(task: object, kind: str) -> None:
    name, metric = getattr(task, "name", ""), getattr(task, "metric", None)
    accuracy = f"accuracy: {{metric: {metric}}}\n" if metric else ""

    needed = f", {LEVELS}" if kind == "anchors" else ""
    spec = parse_strict(
        f"{YAML}task: {name}\npostprocess: {{kind: {kind}{needed}}}\n{accuracy}",
        "m.yaml",
        BenchmarkSpec,
    )

    assert spec.task == name
    assert type(spec.postprocess).__struct_config__.tag == kind
    assert spec.accuracy.metric == (metric or classification.METRIC)


def test_what_a_benchmark_leaves_out_is_the_usual_tasks() -> None:
    spec = parse_strict(YAML, "m.yaml", BenchmarkSpec)

    assert spec.task == "classification"
    assert spec.postprocess == classification.ArgMax()
    assert judge_of(spec.accuracy.metric) is classification.JUDGE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("task: classify", "classification, detection, other"),
        ("accuracy: {metric: top5}", "expected one of top1, mAP"),
        (
            "postprocess: {kind: argmin}",
            'argmax, threshold, detections, yolo, .*, raw.*Did you mean "argmax"',
        ),
    ],
)
def test_what_no_task_brings_is_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"m\.yaml:4: .*{said}"):
        parse_strict(f"{YAML}{line}\n", "m.yaml", BenchmarkSpec)


def test_boxes_do_not_fit_into_a_column_of_labels() -> None:
    with pytest.raises(DataError, match=r"labels\.csv:1: .*kind: coco"):
        label_reader("mAP")("7", 10, "labels.csv:1")


def test_a_metric_that_judges_other_answers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"m\.yaml:1: .*metric: top1 .*expected mAP"):
        parse_strict(f"{YAML}postprocess: {{kind: yolo}}\n", "m.yaml", BenchmarkSpec)


@pytest.mark.parametrize("kind", ["detections", "yolo", "distances", "heatmap"])
def test_boxes_need_an_image(kind: str) -> None:
    plain = YAML.replace(", layout: NCHW", "")

    with pytest.raises(ConfigError, match=r"m\.yaml:1: .*layout: NCHW"):
        parse_strict(f"{plain}postprocess: {{kind: {kind}}}\n", "m.yaml", BenchmarkSpec)


def test_no_other_module_names_a_metric_that_a_task_judges() -> None:
    metrics = [task.metric for task in TASKS.values() if task.metric and task.judge]
    pattern = re.compile(rf'["\'](?:{"|".join(metrics)})["\']')
    files = [path for name in ("sut", "backends", "scenarios", "data")
             for path in (ROOT / name).rglob("*.py")]  # fmt: skip
    # Its model has an output of that name.
    allowed = {ROOT / "data" / "convert" / "resnet50.py", *(ROOT / "data/tasks").rglob("*.py")}
    # The submission checker's name for the figure is the same word.
    allowed |= {*(ROOT / "data/rounds").glob("*.py"), ROOT / "sut/submission/checks/reading.py"}
    # Titles of a column and of a chart.
    allowed |= {ROOT / "sut/report" / name for name in ("sweep_rows.py", "video_charts.py")}

    found = [path for path in files if pattern.search(path.read_text("utf-8"))]

    assert set(found) - allowed == set()


def test_every_example_of_a_detector_in_the_docs_is_read() -> None:
    text = (ROOT / "docs/detection.md").read_text("utf-8")
    whole, *others = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    rest = "".join(line for line in whole.splitlines(True) if not line.startswith("postprocess"))

    kinds = [
        parse_strict(example, "docs", BenchmarkSpec).postprocess
        for example in (whole, *(rest + other for other in others))
    ]

    tags = [type(kind).__struct_config__.tag for kind in kinds]
    assert tags == ["yolo", "anchors", "detections", "detections", "distances", "heatmap"]
