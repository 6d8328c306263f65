"""What a result loses that is rounded to integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OF_CONTRAST = 0.05
"""Squared error of rounding, as a share of the variance of the clean image, that deserves a word
..."""
OF_NOISE = 0.03
"""... where it is this share of the removed noise too: of much noise little comes back."""


class RoundingLoss:
    """Of a channel, squares of what rounding changes, beside those of its contrast and noise.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.uniform(0, 0.5, (64, 64))  # expected photons
    >>> loss = RoundingLoss()
    >>> loss.see(rng.poisson(clean), clean, np.rint(clean))
    >>> loss.is_large
    True
    >>> loss = RoundingLoss()
    >>> loss.see(rng.poisson(100 * clean), 100 * clean, np.rint(100 * clean))
    >>> loss.is_large
    False
    """

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        self._rounding, self._noise = 0.0, 0.0

    def see(
        self,
        noisy: NDArray,
        clean: NDArray,
        rounded: NDArray,
        excluded: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in a region of a result."""
        used = slice(None) if excluded is None else ~excluded
        x, y, r = (np.asarray(v, np.float64)[used] for v in (clean, noisy, rounded))
        self._count += x.size
        self._sum += float(x.sum())
        self._squares += float((x**2).sum())
        self._rounding += float(((r - x) ** 2).sum())
        self._noise += float(((y - x) ** 2).sum())

    @property
    def share(self) -> float:
        """Squared error of rounding as a share of the variance of the clean image."""
        variance = self._squares - self._sum**2 / max(self._count, 1)
        return self._rounding / variance if variance > 0 else float(self._rounding > 0)

    @property
    def is_large(self) -> bool:
        """Whether rounding takes away much of what denoising gained."""
        return self.share > OF_CONTRAST and self._rounding > OF_NOISE * self._noise

    def line(self, dtype: np.dtype, what: str = "the result") -> str:
        """A sentence for people."""
        mean = self._sum / max(self._count, 1)
        return (
            f"{what} is rounded to {dtype}, and at a mean of {mean:.2g} that loses much "
            f"({min(self.share, 1.0):.0%} of the contrast); give the image as float32, or predict "
            f"with dtype=float32, which keeps fractions"
        )
