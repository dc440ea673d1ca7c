"""The postprocess of a batch on several threads: the same records, in order, and every failure."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from data.tasks.classification import ArgMax
from data.tasks.detection.finished import Detections
from data.tasks.detection.yolo import Yolo
from sut.serve.workers.postprocess import Postprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Outputs

LIMIT_S = 10.0


def rows(outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
    """Return one row a sample: its index and its number."""
    return np.stack([np.array(indices, np.float32), outputs[0].astype(np.float32)], axis=1)


def boxes(outputs: Outputs, indices: Sequence[int]) -> list[NDArray[np.float32]]:
    """Return as many numbers for a sample as its output says."""
    return [np.full(int(n), k, np.float32) for n, k in zip(outputs[0], indices, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_records_of_equal_size_are_those_of_one_thread(count: int) -> None:
    outputs, indices = (np.arange(count) * 10,), list(range(100, 100 + count))
    postprocess = Postprocessing(rows, 3)

    found = postprocess(outputs, indices)

    np.testing.assert_array_equal(np.asarray(found), rows(outputs, indices))
    postprocess.close()


def test_records_of_any_size_stay_in_order() -> None:
    outputs, indices = (np.array([2, 0, 3, 1, 0]),), [7, 5, 6, 9, 8]
    postprocess = Postprocessing(boxes, 4)

    found = postprocess(outputs, indices)

    assert [part.tolist() for part in found] == [[7, 7], [], [6, 6, 6], [9], []]
    postprocess.close()


def test_parts_of_a_batch_are_made_at_once() -> None:
    """Each part waits for the others, so that one thread after the other would never end."""
    together = threading.Barrier(3)

    def records(outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        together.wait(LIMIT_S)
        return rows(outputs, indices)

    postprocess = Postprocessing(records, 3)

    assert len(postprocess((np.arange(6),), range(6))) == 6
    postprocess.close()


@pytest.mark.parametrize("bad", [0, 5])
def test_a_part_that_fails_is_raised_when_no_part_reads_the_outputs_any_more(bad: int) -> None:
    ended: list[int] = []

    def records(outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        if bad in indices:
            raise ValueError(f"sample {bad} is odd")
        ended.append(indices[0])
        return rows(outputs, indices)

    postprocess = Postprocessing(records, 3)

    with pytest.raises(ValueError, match=f"sample {bad} is odd"):
        postprocess((np.arange(6),), range(6))
    assert sorted(ended) == [k for k in (0, 2, 4) if bad not in (k, k + 1)]
    postprocess.close()


def test_a_postprocess_that_sees_the_whole_batch_is_not_divided() -> None:
    seen: list[int] = []

    def records(outputs: Outputs, indices: Sequence[int]) -> NDArray[np.float32]:
        seen.append(len(indices))
        return rows(outputs, indices)

    postprocess = Postprocessing(records, 1)
    postprocess((np.arange(6),), range(6))

    assert seen == [6]
    postprocess.close()


def test_boxes_are_divided_and_classes_are_not() -> None:
    rows_of_all = Detections(outputs=("rows",), columns=("sample", "box", "score", "class"))

    assert Yolo().divides
    assert not ArgMax().divides
    assert not rows_of_all.divides  # rows of a sample may be anywhere
