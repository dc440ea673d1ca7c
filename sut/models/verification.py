"""Compares the outputs of a variant with the reference's, and tells what the tolerance can tell.

Pure: arrays in, figures out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sut.record.study import OutputCheck

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Floats = NDArray[np.float64]

MOST_DB = 300.0
_MOST = 1e300  # JSON has no infinity


def check_output(name: str, exact: Array, found: Array, atol: float, rtol: float) -> OutputCheck:
    """Compare an output with the reference's.

    Two wrong outputs are compared too: the mean of the reference over the samples, and that of the
    sample before. A tolerance that one of them is within tests nothing.

    Args:
        name: of the output.
        exact: of the reference, [n, ...], n of 2 or more.
        found: of the variant; NaN and infinities are outside every tolerance.
        atol: absolute tolerance.
        rtol: relative to the reference.
    """
    exact, found = exact.astype(np.float64), found.astype(np.float64)
    allowed = atol + rtol * np.abs(exact)
    difference = np.abs(found - exact)
    constant = np.broadcast_to(exact.mean(0), exact.shape)
    others = np.roll(exact, 1, axis=0)
    return OutputCheck(
        name=name,
        max_difference=_largest(difference),
        share=_share(difference, allowed),
        wrong_share=min(_share(np.abs(wrong - exact), allowed) for wrong in (constant, others)),
    )


def signal_to_noise_db(exact: Array, found: Array) -> float:
    """Return the spread of the reference over the samples, over the error, in dB.

    Unlike the power of the reference itself, it does not count what all samples have in common.

    Returns:
        From -MOST_DB, which is also of a reference that is the same for all samples and of NaN or
        infinities in `found`, to MOST_DB, which is without an error.
    """
    exact, found = exact.astype(np.float64), found.astype(np.float64)
    if not np.isfinite(found).all():
        return -MOST_DB
    signal, noise = np.square(exact - exact.mean(0)).sum(), np.square(found - exact).sum()
    if not noise:
        return MOST_DB
    return float(np.clip(10 * np.log10(signal / noise), -MOST_DB, MOST_DB)) if signal else -MOST_DB


def _share(difference: Floats, allowed: Floats) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(difference == 0, 0.0, difference / allowed)
    return _largest(shares)


def _largest(values: Floats) -> float:
    return float(np.where(np.isnan(values), _MOST, np.minimum(values, _MOST)).max(initial=0.0))
