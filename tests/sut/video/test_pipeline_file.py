"""A pipeline's file says what is wrong with it, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.video.pipeline_file import load_pipeline, pipeline_names
from tests.sut.video.made import classify, detect, write_pipeline


def test_a_pipeline_of_own_models_needs_a_file_alone(tmp_path: Path) -> None:
    pipeline = load_pipeline(str(write_pipeline(tmp_path)))

    assert [stage.name for stage in pipeline.spec.stages] == ["find", "tell"]
    assert [benchmark.name for benchmark in pipeline.benchmarks] == ["boxes", "colour"]


@pytest.mark.parametrize("name", pipeline_names())
def test_every_pipeline_of_the_program_loads(name: str) -> None:
    pipeline = load_pipeline(name)

    assert pipeline.spec.name == name


WRONG = {
    "crops of nobody": ([detect(), classify(crops={"of": "face"})], "crops.of is face"),
    "crops first": ([classify()], "expected whole frames"),
    "two on frames": ([detect(), detect(name="again")], "expected crops of an earlier one"),
    "twice": ([detect(), classify(name="find")], "find is repeated"),
    "unknown class": (
        [detect(), classify(crops={"of": "find", "classes": ["cat"]})],
        "crops.classes has cat; expected one of thing, other",
    ),
    "keeps nothing known": ([detect(keep=["cat"])], "keep: cat is no class"),
    "no boxes": (
        [detect(benchmark="colour.yaml"), classify()],
        "finds no boxes; expected a detector",
    ),
    "unknown key": ([detect(batch=4)], "batch"),
    "no stage": ([], "stages"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_pipeline_is_refused(tmp_path: Path, case: str) -> None:
    stages, fragment = WRONG[case]
    path = write_pipeline(tmp_path)
    path.write_text(path.read_text("utf-8").split("stages:")[0], "utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write("stages: " + str(stages).replace("(", "[").replace(")", "]"))

    with pytest.raises(ConfigError, match=r"pipeline\.yaml") as caught:
        load_pipeline(str(path))

    assert fragment in str(caught.value)


def test_an_unknown_pipeline_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="does not exist; expected one of"):
        load_pipeline("persons")
