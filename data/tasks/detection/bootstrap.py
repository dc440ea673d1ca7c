"""A 95 % interval of the mean average precision, by bootstrap over images.

Method (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13): draw as
many images as there are, with replacement, RESAMPLES times; the interval is the value and 1.96
standard deviations of the draws' values to either side. Percentiles of the draws would not do: a
draw has fewer different objects than the whole, and the average precision of few objects is too
high, so that their middle lies above the value, often by more than half the interval.

The boxes of an image are matched with its objects once, because matches do not depend on other
images; a draw counts each match as often as its image was drawn. Images, not boxes, are drawn: the
boxes of one image are not independent of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from data.tasks.detection.precision import Matches

    Numbers = NDArray[np.float64]

RESAMPLES = 200  # the standard deviation is then within 10 % in 19 of 20 cases
_SEED = 20_191_010  # of the first rules that had detection; any fixed number will do
_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point
# The recalls at which pycocotools reads the precision, with their rounding.
_RECALLS = np.linspace(0.0, 1.0, 101)


def interval_95(value: float, matches: Matches) -> tuple[float, float] | None:
    """Return the interval, the same for the same matches; None if all draws have the same value.

    Args:
        value: the mean average precision.
        matches: that it comes from.
    """
    images = len(matches.objects)
    if images < 2:  # noqa: PLR2004 - draws of one image are all the same
        return None
    generator = np.random.default_rng(_SEED)
    precision = Precision(matches)
    draws = (generator.integers(0, images, images) for _ in range(RESAMPLES))
    drawn = [precision.of(np.bincount(draw, minlength=images)) for draw in draws]
    values = [one for one in drawn if one is not None]
    half = _Z95 * float(np.std(values)) if values else 0.0
    if not half:
        return None
    return max(0.0, value - half), min(1.0, value + half)


class Precision:
    """Mean average precision of weighted images.

    Precision is needed at right boxes only: at a wrong one it is lower than at the right one before
    it, and pycocotools takes the highest precision from a recall on.
    """

    def __init__(self, matches: Matches) -> None:
        self._matches = matches
        starts = np.concatenate([[0], matches.ends[:-1]])
        category = np.repeat(np.arange(len(starts)), matches.ends - starts)
        self._starts = starts
        # Of each threshold: the right boxes, their categories, and the ignored boxes.
        self._right = [np.flatnonzero(row) for row in matches.right]
        self._category = [category[rows] for rows in self._right]
        self._ignored = [np.flatnonzero(row) for row in matches.ignored]

    def of(self, weights: NDArray[np.intp]) -> float | None:
        """Return the value if image i is there weights[i] times; None if no object is there."""
        objects = weights @ self._matches.objects
        there = objects > 0
        if not there.any():
            return None
        drawn = weights[self._matches.image]
        before = np.concatenate([[0], np.cumsum(drawn)])
        sums = [
            self._sums(threshold, drawn, before, objects)[there].sum()
            for threshold in range(len(self._right))
        ]
        return float(np.sum(sums) / (there.sum() * len(sums)))

    def _sums(
        self,
        threshold: int,
        drawn: NDArray[np.intp],
        before: NDArray[np.intp],
        objects: NDArray[np.intp],
    ) -> Numbers:
        """Return the average precision of each category, [K] float64."""
        rows, category = self._right[threshold], self._category[threshold]
        if not len(rows):
            return np.zeros(len(objects))
        found = _running(drawn[rows], category)
        ignored = self._ignored[threshold]
        skipped = np.concatenate([[0], np.cumsum(drawn[ignored])])
        first = self._starts[category]
        passed = before[rows + 1] - before[first]
        passed -= skipped[np.searchsorted(ignored, rows)] - skipped[np.searchsorted(ignored, first)]
        with np.errstate(divide="ignore", invalid="ignore"):  # images that were not drawn
            precision = np.nan_to_num(found / passed)
            recall = np.nan_to_num(found / objects[category])
        # The highest precision from each box to the end of its category.
        level = len(objects) - category
        best = np.maximum.accumulate((precision + level)[::-1])[::-1] - level
        reached = np.searchsorted(_RECALLS, recall, side="right")
        new = np.diff(reached, prepend=0)
        starts = np.flatnonzero(np.diff(category, prepend=-1))
        new[starts] = reached[starts]
        # Before the first drawn box there is no precision, so recall 0 is read at the first one.
        new[found == 0] = 0
        first_found = (found > 0) & (np.concatenate([[0], found[:-1]]) == 0)
        new[first_found] = reached[first_found]
        sums: Numbers = np.bincount(category, best * new, len(objects)) / len(_RECALLS)
        return sums


def _running(values: NDArray[np.intp], category: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return running sums that start again at each category."""
    sums = np.cumsum(values)
    starts = np.flatnonzero(np.diff(category, prepend=-1))
    base = np.zeros(len(values), np.intp)
    base[starts] = sums[starts] - values[starts]
    counted: NDArray[np.intp] = sums - np.maximum.accumulate(base)
    return counted
