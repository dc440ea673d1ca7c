"""What a plan may say, and which variants it lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.base.environment import ROOT
from sut.base.errors import ConfigError
from sut.sweep.plan_file import Tolerance, read_plan

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "name: p\nbenchmark: resnet50\noffline: {batches: 8}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_a_list_is_a_variant_for_each_of_its_values(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEAD + "variants:\n"
        "  - {backend: [onnxruntime, torch], precision: [fp32, fp16], slots: [1, 2]}\n"
        "  - {name: mine, options: {curve: [a, b], base_ms: 2}}\n",
    )

    _, variants = read_plan(path)

    names = [variant.name for variant in variants]
    assert names[:3] == [
        "onnxruntime fp32 slots 1", "onnxruntime fp32 slots 2", "onnxruntime fp16 slots 1"
    ]  # fmt: skip
    assert names[8:] == ["mine curve a", "mine curve b"]
    assert variants[9].axes == {"precision": "fp32", "curve": "b", "base_ms": 2}


def test_a_variant_has_the_tolerance_of_its_precision_or_its_own(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEAD + "verify: {tolerance: {fp16: {'*': {atol: 0.5}}}}\nvariants:\n"
        "  - {backend: torch, precision: [fp16, fp32]}\n"
        "  - {backend: onnxruntime, precision: fp16, tolerance: {y: {rtol: 1}}}\n",
    )

    found = [variant.tolerance for variant in read_plan(path)[1]]

    assert found == [{"*": Tolerance(atol=0.5)}, None, {"y": Tolerance(rtol=1)}]


def test_files_are_found_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").touch()
    path = written(
        tmp_path,
        "name: p\nbenchmark: own.yaml\nonline: {}\nvariants: [{backend: torch, model: m.onnx}]\n",
    )

    ((variant,), *_) = (read_plan(path)[1],)

    assert variant.benchmark == str(tmp_path / "own.yaml")
    assert variant.model == tmp_path / "m.onnx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "variants: [{backnd: torch}]\n", r"plan\.yaml:4: .*backnd.*backend"),
        (HEAD + "variants: []\n", r"plan\.yaml:4: variants"),
        ("name: p\nbenchmark: resnet50\nvariants: [{backend: a}]\n", "`offline` or `online`"),
        (HEAD + "variants: [{backend: a}, {backend: a}]\n", 'two are named "a fp32"'),
        (HEAD + "gate: {}\nvariants: [{backend: a}]\n", r"plan\.yaml:4: gate: no limit"),
        (HEAD + "gate: {least_same: 2}\nvariants: [{backend: a}]\n", r"plan\.yaml:4: gate\.least"),
        (HEAD + "verify: {samples: 1}\nvariants: [{backend: a}]\n", r"plan\.yaml:4: verify\.samp"),
        (HEAD + "online: {concurrency: 8-9}\nvariants: [{backend: a}]\n", r"plan\.yaml:4: .*8-9"),
        (HEAD + "variants: [{backend: a, format: pt}]\n", "format"),
        (HEAD + "variants: [{backend: []}]\n", r"plan\.yaml:4: .*backend"),
        (HEAD + "variants: [{backend: a, needs: a.b}]\n", r"plan\.yaml:4: .*needs"),
        (HEAD + "variants: [{backend: a, max_queue_delay_us: -1}]\n", r"plan\.yaml:4: .*delay"),
        (
            HEAD
            + f"variants: [{{slots: {list(range(1, 40))}, options: {{x: {list(range(40))}}}}}]\n",
            "1,560 of them; expected at most 1,000",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_plan(written(tmp_path, text))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda p: p.name
)
def test_the_plans_that_come_with_the_program_are_right(path: Path) -> None:
    plan, variants = read_plan(path)

    assert plan.name in path.name
    assert len(variants) > 1
