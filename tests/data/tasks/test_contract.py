"""The contract carries a task whose answers are many numbers of any count: boxes of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.tasks.base import Judge, Postprocess, Score, Task
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs, Records

    Boxes = NDArray[np.float32]


class BoxesOf(Postprocess, frozen=True, tag="boxes_of_a_test"):
    """Boxes with a score of at least `least`, each [image, x, y, score]."""

    least: float = 0.5

    def records(self, frames: Frames | None = None) -> Records:
        def make(outputs: Outputs, indices: Sequence[int]) -> list[Boxes]:
            boxes = np.asarray(outputs[0], np.float32)
            kept = [found[found[:, 2] >= self.least] for found in boxes]
            return [
                np.concatenate([np.full((len(box), 1), index, np.float32), box], axis=1)
                for index, box in zip(indices, kept, strict=True)
            ]

        return make


def read_answer(record: bytes, where: str) -> Boxes:
    del where  # every number of bytes is a list of boxes
    return np.frombuffer(record, np.float32).reshape(-1, 4)


def score(answers: Mapping[int, Boxes], labels: Sequence[int]) -> Score:
    """Return the share of images with the right number of boxes."""
    right = sum(len(boxes) == labels[index] for index, boxes in answers.items())
    value = right / len(answers)
    return Score("share", value, len(answers), None, None, f"share={value:.3f}%")


TASK = Task(
    name="boxes",
    postprocesses=(BoxesOf,),
    metric="share",
    judge=Judge(lambda text, _, __: int(text), read_answer, score),
)


def test_boxes_become_records_of_their_own_size_and_are_judged() -> None:
    outputs = np.array([[[1, 2, 0.9], [3, 4, 0.1]], [[5, 6, 0.8], [7, 8, 0.7]]], np.float32)
    judge = TASK.judge
    assert judge is not None

    records = BoxesOf().records()((outputs,), [3, 1])
    logged = Responses.of(records)

    assert logged.sizes == (16, 32)
    answers = {
        index: judge.read_answer(record.tobytes(), "log")
        for index, record in zip([3, 1], records, strict=True)
    }
    found = judge.score(answers, [judge.read_label(text, None, "labels") for text in "0201"])
    assert (found.value, found.cell) == (1.0, "100.0%")
    assert answers[3].tolist() == [[3, 1, 2, np.float32(0.9)]]
