"""From the scores of all candidates to the few whose score is high enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sut.base.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from data.tasks.detection.boxes import BoxOptions

    Floats = NDArray[np.float32]


class Picked(NamedTuple):
    """Pairs of candidate and class.

    Attributes:
        rows: [k] indices of candidates.
        classes: [k] of the model's classes, the background counted.
        scores: [k] float32, after the activation.
    """

    rows: NDArray[np.intp]
    classes: NDArray[np.intp]
    scores: Floats


def pick(scores: NDArray[Any], options: BoxOptions, objectness: Floats | None = None) -> Picked:
    """Return what has a score above `confidence`, at most `max_candidates`.

    Args:
        scores: [classes, candidates], float16 or float32; a transposed view will do.
        options: of the benchmark.
        objectness: [candidates], a factor of every score; None: none.

    Raises:
        EngineError: there is no such background class.
    """
    single = objectness is None and not options.multi_label
    if not (single and options.activation == "none"):
        scores = scores.astype(np.float32, copy=False)
    if options.activation == "softmax":
        scores = _softmax(scores)
    if options.background is not None and options.background >= len(scores):
        raise EngineError(
            f"the model has {len(scores)} classes; postprocess.background is {options.background}. "
            "Classes count from 0: correct it, or leave it out."
        )
    if objectness is not None:
        return _of_objects(scores, options, objectness)
    sigmoid = options.activation == "sigmoid"
    least = _logit(options.confidence) if sigmoid else options.confidence
    found = _above(scores, options, np.float32(least))
    return _best(found._replace(scores=_sigmoid(found.scores)) if sigmoid else found, options)


def _of_objects(scores: Floats, options: BoxOptions, objectness: Floats) -> Picked:
    sigmoid = options.activation == "sigmoid"
    objects = _sigmoid(objectness) if sigmoid else objectness
    # A product is never above its smaller factor.
    rows = np.flatnonzero(objects > options.confidence)
    few = scores[:, rows]
    product = (_sigmoid(few) if sigmoid else few) * objects[rows]
    found = _above(product, options, np.float32(options.confidence))
    return _best(found._replace(rows=rows[found.rows]), options)


def _above(scores: NDArray[Any], options: BoxOptions, least: np.float32) -> Picked:
    background = options.background
    if options.multi_label:
        classes, rows = np.nonzero(scores > least)
        if background is not None:
            kept = classes != background
            rows, classes = rows[kept], classes[kept]
        return Picked(rows, classes, scores[classes, rows])
    if background is not None:
        scores = _without(scores, background)
    order = _ordered(scores)
    most = order[0] if len(order) == 1 else order.max(axis=0)
    rows = np.flatnonzero(most > _ordered(_rounded_down(least, scores.dtype)))
    # Of the few that remain: argmax takes five times as long as max.
    classes = order[:, rows].argmax(axis=0)
    best = scores[classes, rows].astype(np.float32)
    if background is not None:
        classes += classes >= background
    return Picked(rows, classes, best)


def _without(scores: NDArray[Any], row: int) -> NDArray[Any]:
    """Return all rows but one; no copy if it is the first or the last."""
    if row == 0:
        return scores[1:]
    return scores[:-1] if row == len(scores) - 1 else np.delete(scores, row, axis=0)


def _ordered(scores: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the order of scores: NumPy compares float16 thirty times as slowly as bits.

    Above 0 the bits are in the order of the numbers, and below 0 they are negative. A score below 0
    is above no limit, so that the order among those does not matter.
    """
    return scores.view(np.int16) if scores.dtype == np.float16 else scores


def _rounded_down(limit: np.float32, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the largest number of `dtype` that is not above `limit`."""
    rounded = np.array(limit, dtype)
    return np.nextafter(rounded, np.array(-1, dtype)) if rounded > limit else rounded


def _best(found: Picked, options: BoxOptions) -> Picked:
    if len(found.rows) <= options.max_candidates:
        return found
    kept = np.argsort(-found.scores, kind="stable")[: options.max_candidates]
    return Picked(found.rows[kept], found.classes[kept], found.scores[kept])


def _softmax(scores: Floats) -> Floats:
    powers: Floats = np.exp(scores - scores.max(axis=0))
    powers /= powers.sum(axis=0)
    return powers


def _sigmoid(scores: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp of a large number is infinity, and the score is 0
        powers: Floats = np.exp(-scores)
    powers += 1
    return np.reciprocal(powers)


def _logit(share: float) -> float:
    """Return the number whose sigmoid is `share`."""
    if share in {0.0, 1.0}:
        return float("-inf") if share == 0 else float("inf")
    return float(np.log(share) - np.log1p(-share))
