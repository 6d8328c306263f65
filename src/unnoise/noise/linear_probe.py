"""What the best linear blind spot would reach: a look ahead that takes a fraction of a second.

Every pixel is predicted from its neighbours by least squares, with and without the neighbours
under a mask. For a prediction ``f = a . neighbours`` the mean squared error against the clean
image is ``E (y - f)^2 - s^2 + 2 s^2 a . rho``, with s^2 the noise variance and rho the correlation
of the pixel's noise with that of its neighbours (Stein 1981, for a linear estimate). A network does
better, but it loses and keeps the same things: what lies under the mask, and correlated noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 40_000
REACH = 3
RING = 2
"""Pixels beyond the mask that the masked prediction may use."""


@dataclass(frozen=True)
class Probe:
    """A linear blind-spot prediction.

    Attributes
    ----------
    risk : float
        Its mean squared error against the clean image, as a share of the noise variance: below 1
        it is better than the noisy image.
    kept : float
        Share of the noise amplitude that is found again in the prediction.
    """

    risk: float
    kept: float


def linear(
    planes: NDArray,
    variance: float,
    rho: NDArray,
    mask: NDArray[np.bool_] | None = None,
) -> Probe | None:
    """Risk of predicting pixels from the neighbours outside a mask.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes.
    variance : float
        Mean noise variance.
    rho : ndarray, shape (2 r + 1, 2 r + 1)
        Autocorrelation of the noise.
    mask : ndarray of bool with odd sides, optional
        Neighbours that are hidden; by default only the pixel itself.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> white = np.zeros((3, 3)); white[1, 1] = 1
    >>> flat = linear(rng.normal(size=(1, 128, 128)), 1.0, white)
    >>> abs(flat.risk) < 0.05, flat.kept
    (True, 0.0)
    """
    hidden = np.ones((1, 1), np.bool_) if mask is None else mask
    half = [size // 2 for size in hidden.shape]
    reach = [max(h + (RING if mask is not None else 0), REACH) for h in half]
    lags = np.array(
        [
            (y, x)
            for y in range(-reach[0], reach[0] + 1)
            for x in range(-reach[1], reach[1] + 1)
            if (y, x) != (0, 0)
            and not (abs(y) <= half[0] and abs(x) <= half[1] and hidden[y + half[0], x + half[1]])
        ]
    )
    n, height, width = planes.shape
    if height <= 2 * reach[0] + 2 or width <= 2 * reach[1] + 2 or variance <= 0:
        return None
    rng = np.random.default_rng(0)
    count = min(SAMPLES, n * height * width)
    at = [
        rng.integers(low, high, count)
        for low, high in ((0, n), (reach[0], height - reach[0]), (reach[1], width - reach[1]))
    ]
    target = planes[tuple(at)].astype(np.float64)
    around = np.stack([planes[at[0], at[1] + y, at[2] + x] for y, x in lags], 1).astype(np.float64)
    target, around = target - target.mean(), around - target.mean()
    gram = around.T @ around / count
    if np.trace(gram) <= 0:
        return None
    # A small ridge: neighbours of a constant picture are all alike.
    weights = np.linalg.solve(
        gram + 1e-6 * np.trace(gram) / len(lags) * np.eye(len(lags)), around.T @ target / count
    )
    left = float(((target - around @ weights) ** 2).mean())
    r = len(rho) // 2
    known = (np.abs(lags) <= r).all(1)
    kept = float(weights[known] @ rho[tuple((lags[known] + r).T)])
    return Probe(left / variance - 1 + 2 * kept, kept)
