"""The estimated risk of a result, beside that of another one: which is better, and their best mean.

Which of two results is better is told with an error: of the difference of their risks, from blocks
that hold the neighbours over which residuals are alike. Both share the noise, so it is far smaller
than that of either risk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unnoise.quality import blocks


@dataclass(frozen=True, eq=False)
class RiskEstimate:
    """What the estimate of a model's risk is made of, in normalised units.

    Attributes
    ----------
    residual : ndarray, float64, shape (n,)
        Noisy less clean values at the held-out pixels.
    block : ndarray of int, shape (n,)
        In which block of the pieces each of them lies.
    covariance : ndarray, float64, shape (blocks,)
        Sums over the blocks of the covariances of the result with the noise of its own pixel.
    redrawn : ndarray, float64, shape (blocks,)
        At how many pixels of a block they were measured.

    Examples
    --------
    >>> one, two = (RiskEstimate.of(np.array(r), 0.0) for r in ([0.0, 2.0], [1.0, 0.0]))
    >>> share = one.best_share(two)
    >>> round(share, 3), round(one.with_share(two, share).risk, 3)
    (0.8, 0.4)
    >>> two.gain_over(one)
    (1.5, 2.5)
    """

    residual: NDArray[np.float64]
    block: NDArray[np.int64]
    covariance: NDArray[np.float64]
    redrawn: NDArray[np.float64]

    @classmethod
    def of(cls, residual: NDArray[np.float64], covariance: float) -> RiskEstimate:
        """With a block for every pixel, and the same covariance everywhere."""
        n = len(residual)
        return cls(residual, np.arange(n), np.full(n, covariance), np.ones(n))

    @property
    def risk(self) -> float:
        """Estimated mean squared error plus the noise."""
        return float(np.mean(self.residual**2) + 2 * self._mean_covariance)

    @property
    def _mean_covariance(self) -> float:
        return float(self.covariance.sum() / self.redrawn.sum())

    def gain_over(self, other: RiskEstimate) -> tuple[float, float]:
        """By how much the risk is less than that of another result, and the standard error of that.

        Of results on the same pieces.
        """
        change, n = other.residual**2 - self.residual**2, len(self.redrawn)
        sums = np.stack(
            [
                np.bincount(self.block, change, n),
                np.bincount(self.block, minlength=n),
                other.covariance - self.covariance,
                self.redrawn,
            ]
        )
        value, error, _ = blocks.jackknife(_risk_of, sums)
        return value, error

    def with_share(self, other: RiskEstimate, share: float) -> RiskEstimate:
        """The weighted mean of two results: both parts are linear in the result."""
        return replace(
            self,
            residual=(1 - share) * self.residual + share * other.residual,
            covariance=(1 - share) * self.covariance + share * other.covariance,
        )

    def best_share(self, other: RiskEstimate, errors: float = 0.0, strength: float = 0.0) -> float:
        """Weight of another result, 0 to 1, with which the mean has the least risk.

        The risk is a parabola in the weight w, whose bend is the mean squared difference d of the
        results: ``w = 1/2 + (risk - risk of the other) / (2 d)``.

        Parameters
        ----------
        other : RiskEstimate
            Of a result on the same pieces.
        errors : float
            Less so many standard errors of the weight; negative for more.
        strength : float
            By which share the strength of the noise that is drawn may be wrong, in disfavour of
            the other.
        """
        bend = float(np.mean((self.residual - other.residual) ** 2))
        gain, error = other.gain_over(self)
        if bend == 0 or (errors and math.isinf(error)):
            return float(errors < 0)
        gain -= errors * error if errors else 0.0
        gain -= 2 * strength * abs(self._mean_covariance - other._mean_covariance)
        share = 0.5 + gain / (2 * bend)
        return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0  # no risk, no part


def _risk_of(sums: NDArray) -> NDArray:
    """Risk from sums of squares, of held-out pixels, of covariances and of redrawn pixels."""
    return np.asarray(sums[0] / np.maximum(sums[1], 1) + 2 * sums[2] / np.maximum(sums[3], 1))
