"""How much the times of equal batches differ: factors of a named distribution, from a seed.

Every distribution has the mean 1, so that it leaves a rate as it is; outliers come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Distribution = Literal["none", "normal", "lognormal", "gamma"]

# Factors are drawn in blocks of this many; one then costs less than a microsecond.
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Jitter:
    """A distribution of factors.

    Attributes:
        distribution: "normal" is cut off at 0; "lognormal" and "gamma" have their tail above.
        spread: standard deviation as a share of the mean; above 0.3 the cut of "normal" shows.
        outlier_share: share of the batches that are slower still, from 0 to 1.
        outlier_factor: by how much those are.
    """

    distribution: Distribution = "none"
    spread: float = 0.0
    outlier_share: float = 0.0
    outlier_factor: float = 1.0

    @property
    def acts(self) -> bool:
        """Whether any factor can differ from 1."""
        spreads = self.distribution != "none" and self.spread > 0
        return spreads or (self.outlier_share > 0 and self.outlier_factor != 1)

    def factors(self, *seed: int) -> Iterator[float]:
        """Yield factors without end, the same ones for the same `seed`."""
        generator = np.random.default_rng(seed)
        while True:
            block = self._draw(generator)
            if self.outlier_share:
                block[generator.random(BLOCK) < self.outlier_share] *= self.outlier_factor
            yield from block.tolist()

    def _draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        spread = self.spread
        if self.distribution == "none" or spread == 0:
            return np.ones(BLOCK)
        if self.distribution == "normal":
            return generator.normal(1.0, spread, BLOCK).clip(0.0)
        if self.distribution == "gamma":
            return generator.gamma(spread**-2, spread**2, BLOCK)
        sigma = np.log1p(spread**2) ** 0.5
        return generator.lognormal(-(sigma**2) / 2, sigma, BLOCK)


@dataclass(frozen=True)
class Observed(Jitter):
    """Factors that were observed in a run, drawn from their quantiles.

    Attributes:
        quantiles: ascending, of mean 1.
    """

    quantiles: tuple[float, ...] = ()

    @property
    def acts(self) -> bool:
        """Whether any factor differs from 1."""
        return bool(self.quantiles) and self.quantiles[0] != self.quantiles[-1]

    def factors(self, *seed: int) -> Iterator[float]:
        """See Jitter.factors."""
        generator = np.random.default_rng(seed)
        values = np.array(self.quantiles)
        values /= values.mean()
        while True:
            yield from generator.choice(values, BLOCK).tolist()
