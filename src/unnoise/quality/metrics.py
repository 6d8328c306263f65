"""How close a clean image comes to the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def psnr(image: ArrayLike, truth: ArrayLike, *, data_range: float) -> float:
    """Peak signal-to-noise ratio, ``10 log10(range^2 / MSE)``, in dB.

    Parameters
    ----------
    image, truth : array-like of the same shape
        Pixels, neither clipped nor rounded.
    data_range : float
        The peak; 255 for BSD68.

    Examples
    --------
    >>> round(psnr(np.full((4, 4), 10.0), np.zeros((4, 4)), data_range=255), 2)
    28.13
    """
    error = np.asarray(image, np.float64) - np.asarray(truth, np.float64)
    mean = float(np.mean(error**2))
    return float(10 * np.log10(data_range**2 / mean)) if mean else float("inf")


def scale_invariant_psnr(image: ArrayLike, truth: ArrayLike) -> float:
    """PSNR in dB after the affine map ``a * image + b`` that comes closest to the truth.

    The peak is the range of the truth. For pairs whose two files were stretched differently
    (Weigert et al., Nature Methods 2018, use the same idea).

    Examples
    --------
    >>> truth = np.random.default_rng(0).normal(size=(32, 32))
    >>> noisy = truth + np.random.default_rng(1).normal(size=(32, 32))
    >>> a, b = scale_invariant_psnr(noisy, truth), scale_invariant_psnr(3 * noisy + 7, truth)
    >>> bool(np.isclose(a, b))
    True
    """
    x = np.asarray(image, np.float64).ravel()
    t = np.asarray(truth, np.float64).ravel()
    centred = x - x.mean()
    power = centred @ centred
    slope = (centred @ (t - t.mean())) / power if power > 0 else 0.0
    return psnr(slope * centred + t.mean(), t, data_range=float(t.max() - t.min()))
