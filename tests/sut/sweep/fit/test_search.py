"""The search for the largest batch: against an edge that is known."""

from __future__ import annotations

import pytest

from sut.sweep.fit.memory_model import MemoryModel, MemoryPoint, MemorySizes, fit_memory
from sut.sweep.fit.search import Aim, Search

MB = 1_000_000
CONTEXT, SAMPLE = 400 * MB, 7 * MB


class Memory:
    """A device whose memory is known, asked batch by batch."""

    def __init__(self, limit: float, *, rough: float = 0.0, processes: int = 1) -> None:
        self.limit, self.rough, self.processes = limit, rough, processes
        self.tried: list[int] = []
        self._points: list[MemoryPoint] = []

    def needs(self, batch: int) -> int:
        """Return the bytes; allocators take whole blocks."""
        block = max(1, int(self.rough * MB))
        each = CONTEXT + -(-SAMPLE * batch // block) * block
        return self.processes * each

    def edge(self) -> int:
        """Return the largest batch that fits, by single steps."""
        batch = 0
        while self.needs(batch + 1) <= self.limit:
            batch += 1
        return batch

    def model(self) -> MemoryModel | None:
        return fit_memory(self._points, MemorySizes()) if len(self._points) > 2 else None

    def search(self, tolerance: float = 0.01, most: int = 65536, *, model: bool = True) -> Search:
        aim = Aim(self.processes, lambda: self.limit, tolerance, most)
        search = Search(aim, self.model if model else lambda: None)
        while (batch := search.next()) is not None:
            assert batch not in self.tried, "nothing is tried twice"
            self.tried.append(batch)
            fits = self.needs(batch) <= self.limit
            search.tell(batch, fits=fits)
            if fits:
                self._points.append(MemoryPoint(self.processes, batch, self.needs(batch)))
        return search


@pytest.mark.parametrize("model", [True, False])
@pytest.mark.parametrize("rough", [0.0, 64.0, 512.0])
@pytest.mark.parametrize("gigabytes", [0.41, 0.7, 2, 9, 80])
def test_within_two_percent_of_the_true_edge(gigabytes: float, rough: float, model: bool) -> None:
    memory = Memory(gigabytes * 1000 * MB, rough=rough)
    found, edge = memory.search(model=model), memory.edge()
    assert edge * 0.98 <= found.fits <= edge
    if edge < 100:
        assert found.fits == edge
    assert found.fails is not None
    assert found.fails - found.fits <= max(1, found.fits * 0.01)


def test_a_model_spares_tries() -> None:
    with_model, without = Memory(80_000 * MB, rough=2), Memory(80_000 * MB, rough=2)
    with_model.search()
    without.search(model=False)
    assert len(with_model.tried) <= 12 < len(without.tried)


class Sparing(Memory):
    """A device whose allocator takes less for a sample when it must: the model says too little."""

    def needs(self, batch: int) -> int:
        roomy, tight = CONTEXT + SAMPLE * batch, 10 * CONTEXT + 5 * MB * batch
        return roomy if roomy < 0.8 * self.limit else tight


def test_a_model_that_says_too_little_is_left_behind_in_growing_steps() -> None:
    memory = Sparing(150_000 * MB)
    found = memory.search()
    edge = memory.edge()
    assert edge * 0.98 <= found.fits <= edge
    near = [batch for batch in memory.tried if batch > 0.75 * edge]
    assert len(near) <= 8, "batches near the edge take longest"


def test_nothing_far_above_the_limit_is_tried_once_the_model_knows() -> None:
    memory = Memory(80_000 * MB, rough=2)
    memory.search()
    assert max(memory.needs(batch) for batch in memory.tried) < 1.05 * memory.limit


def test_a_batch_of_one_that_does_not_fit_ends_the_search() -> None:
    memory = Memory(100 * MB)
    found = memory.search()
    assert (found.fits, found.fails, memory.tried) == (0, 1, [1])


def test_no_more_than_asked_for() -> None:
    found = Memory(80_000 * MB).search(most=48)
    assert (found.fits, found.fails) == (48, None)


def test_what_was_measured_before_is_not_tried_again() -> None:
    memory = Memory(2_000 * MB)
    first = memory.search(tolerance=0)
    again = Search(Aim(1, lambda: memory.limit, 0), memory.model)
    for batch in memory.tried:
        again.tell(batch, fits=memory.needs(batch) <= memory.limit)
    assert again.next() is None
    assert again.fits == first.fits == memory.edge()


def test_a_batch_that_fits_above_one_that_did_not_counts() -> None:
    search = Search(Aim(1, lambda: MB), lambda: None)
    search.tell(4, fits=False)
    search.tell(6, fits=True)
    assert (search.fits, search.fails) == (6, None)


def test_what_the_model_knows_to_fail_is_refused_unless_forced() -> None:
    points = [MemoryPoint(1, b, CONTEXT + SAMPLE * b) for b in (1, 16, 64)]
    model = fit_memory(points, MemorySizes())
    limit = 2 * CONTEXT  # four processes do not even fit without a batch
    search = Search(Aim(4, lambda: limit), lambda: model)
    assert search.next() is None
    assert (search.fits, search.fails) == (0, 1)
    assert "4 processes with batches of 1 need" in str(search.refused)
    assert Search(Aim(4, lambda: limit, force=True), lambda: model).next() == 1


def test_with_a_model_the_first_try_is_where_the_edge_should_be() -> None:
    memory = Memory(80_000 * MB, rough=2)
    memory.search()
    model = memory.model()
    memory.limit, memory.tried = 70_000 * MB, []
    search = Search(Aim(1, lambda: memory.limit), lambda: model)
    while (batch := search.next()) is not None:
        memory.tried.append(batch)
        search.tell(batch, fits=memory.needs(batch) <= memory.limit)
    assert memory.edge() * 0.98 <= search.fits <= memory.edge()
    assert len(memory.tried) <= 4


def test_what_fitted_and_then_did_not_does_not_fit() -> None:
    search = Search(Aim(1, lambda: MB), lambda: None)
    for batch in (1, 2, 4, 7):
        search.tell(batch, fits=True)
    search.tell(8, fits=False)
    search.tell(7, fits=False)
    assert (search.fits, search.fails) == (4, 7)
