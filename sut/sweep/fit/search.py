"""Finds the largest batch that fits: double, jump to where the model of memory says, bisect. Pure.

A search is asked for the next batch and told what became of it, in whatever order it was found:
what an earlier command measured counts as if it were new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.sweep.fit.memory_model import MemoryModel

# With a model, a batch may be so many times the largest that fits: each try opens an engine anew.
_JUMP = 8
# Inside a bracket, every third batch is its middle, however good the model seems.
_MIDDLE_EVERY = 3


@dataclass(frozen=True, slots=True)
class Aim:
    """What a search is to find.

    Attributes:
        processes: that run the batch at the same time.
        limit_bytes: returns what the model of memory says of a batch is compared with.
        tolerance: as a share, how far the answer may be from the edge; below 1 / tolerance samples
            the answer is exact.
        most: the largest batch that is asked for.
        force: ask for batches that the model knows to fail, too.
    """

    processes: int
    limit_bytes: Callable[[], float]
    tolerance: float = 0.01
    most: int = 65536
    force: bool = False


class Search:
    """One search.

    Args:
        aim: what it is to find.
        model: returns the model of memory so far; None: there are too few points.
    """

    def __init__(self, aim: Aim, model: Callable[[], MemoryModel | None]) -> None:
        self._aim = aim
        self._model = model
        self._in_bracket = 0
        self._guessed = 0  # times in a row that the model's batch fitted, without a bracket
        self._fitting = {0}
        self.fails: int | None = None  # the smallest that does not
        self.refused: str | None = None  # why the model says that a batch is not worth a try

    @property
    def fits(self) -> int:
        """The largest batch that fits; 0: none."""
        return max(self._fitting)

    def tell(self, batch: int, *, fits: bool) -> None:
        """Take what became of a batch. One that fitted, and then did not, does not fit."""
        if fits:
            self._fitting.add(batch)
            # Memory is not quite monotonous: what fits is worth more than what does not.
            if self.fails is not None and self.fails <= self.fits:
                self.fails = None
            return
        self._fitting.discard(batch)
        self._guessed = 0
        if batch > self.fits:
            self.fails = batch if self.fails is None else min(self.fails, batch)

    def next(self) -> int | None:
        """Return the next batch to try; None: the answer is found."""
        while (batch := self._next()) is not None:
            why = self._refusal(batch)
            if why is None:
                return batch
            self.refused = why
            self.tell(batch, fits=False)
        return None

    def _next(self) -> int | None:
        aim, model = self._aim, self._model()
        guess = None
        if model is not None:
            guess = model.largest_batch(aim.processes, aim.limit_bytes())
        if self.fails is None:
            return self._up(guess) if self.fits < aim.most else None
        step = max(1, int(self.fits * aim.tolerance))
        if self.fails - self.fits <= step:
            return None
        self._in_bracket += 1
        if guess is not None and self._in_bracket % _MIDDLE_EVERY:
            # Just below the guess, then just above it.
            margin = max(1, int(self.fails * aim.tolerance / 2))
            if self.fits + margin < guess - margin < self.fails:
                return guess - margin
            if self.fits < guess + margin < self.fails - margin:
                return guess + margin
        return (self.fits + self.fails) // 2

    def _up(self, guess: int | None) -> int:
        """Return a batch above all that fit."""
        low = max(self.fits, 1)
        if not self.fits:
            batch = guess or 1
        elif guess is None:
            batch = 2 * low
        elif guess > _JUMP * low:
            batch = _JUMP * low
        else:
            # More fits than the model says if its batch fitted before. Allocators do with less as
            # memory becomes scarce, so its next guess is too low again: the steps grow.
            step = max(guess - low, int(2 * low * self._aim.tolerance), 1)
            batch = low + step * 2**self._guessed
            self._guessed += 1
        return min(batch, self._aim.most)

    def _refusal(self, batch: int) -> str | None:
        model = self._model()
        if model is None or self._aim.force:
            return None
        return model.refusal(self._aim.processes, batch, self._aim.limit_bytes())
