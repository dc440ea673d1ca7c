"""Samples in a slab: rows, what they are received into, and the batches that run from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec
from data.tasks.base import FrameFile
from data.tasks.other import Raw
from sut.base.errors import ConfigError
from sut.serve.received.executor import SlabExecutor
from sut.serve.received.slab import Slab
from sut.serve.workers.executor import ExecutorSpec
from tests.backends.models import SHAPE, linear, linear_answers, save

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.base import Array

X = TensorSpec("x", SHAPE, "float32")
CAP = 4


class FarMemory:
    """Memory of an engine that is near to something else than the slab."""

    def __init__(self, near: str) -> None:
        self.near = near

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        return np.empty(shape, dtype)

    def free(self, block: Array) -> None:
        """Nothing to free."""


def receive(slab: Slab, sample: NDArray[np.float32], index: int) -> int:
    row = slab.take(index, (0.0, 0.0, 0.0, 0.0))
    assert row is not None
    slab.places[row][0][:] = sample.reshape(-1).view(np.uint8).data
    return row


def executor(slab: Slab, folder: Path) -> SlabExecutor:
    engine = EngineSpec("onnxruntime", save(linear(), folder), (X,), None, CAP)
    made = SlabExecutor(slab, ExecutorSpec(engine, Raw()))
    slab.expect(10, None)
    made.load(slab.loaded())
    return made


def samples(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).integers(-4, 5, (count, *SHAPE)).astype(np.float32)


def test_a_row_is_given_out_once_until_it_is_free_again() -> None:
    slab = Slab((X,), 2)
    slab.expect(1, None)

    rows = [slab.take(0, (0, 0, 0, 0)) for _ in range(3)]
    slab.free([1])

    assert rows == [0, 1, None]
    assert slab.take(0, (0, 0, 0, 0)) == 1


@pytest.mark.parametrize("index", [-1, 10, 1 << 30])
def test_a_sample_that_the_data_set_does_not_have_gets_no_row(index: int) -> None:
    slab = Slab((X,), 2)
    slab.expect(10, None)

    assert slab.take(index, (0, 0, 0, 0)) is None


def test_what_is_received_into_a_row_is_what_the_engine_reads(tmp_path: Path) -> None:
    slab = Slab((X,), 8)
    made = executor(slab, tmp_path)
    given = samples(3)

    rows = [receive(slab, sample, index) for index, sample in enumerate(given)]
    responses = made.run(rows)
    made.close()

    answers = np.frombuffer(responses.block.tobytes(), np.float32)
    assert answers.tolist() == linear_answers(given)[0].reshape(-1).tolist()


def test_an_engine_with_memory_elsewhere_gets_a_copy_of_what_arrived(tmp_path: Path) -> None:
    slab = Slab((X,), 8)
    slab.allocate(FarMemory("node 1"))
    made = executor(slab, tmp_path)
    made.memory = FarMemory("node 0")
    made.load(slab.loaded())
    given = samples(2)

    responses = made.run([receive(slab, sample, 0) for sample in given])
    made.close()

    answers = np.frombuffer(responses.block.tobytes(), np.float32)
    assert answers.tolist() == linear_answers(given)[0].reshape(-1).tolist()


def test_a_sample_brings_where_it_lies_in_its_image() -> None:
    slab = Slab((X,), 2)
    slab.expect(10, FrameFile(640, 640, "frames.npy"))
    frames = slab.loaded().frames
    assert frames is not None

    row = slab.take(7, (0.5, 0.25, 0.125, 0.0))

    assert row is not None
    assert slab.index_of[row] == 7
    assert frames.open().of(7).tolist() == [0.5, 0.25, 0.125, 0.0]


def test_samples_on_the_device_are_refused(tmp_path: Path) -> None:
    spec = EngineSpec("null", None, (X,), None, CAP, options={"samples_on_device": True})

    with pytest.raises(ConfigError, match="come with each query"):
        SlabExecutor(Slab((X,), 2), ExecutorSpec(spec, Raw()))
