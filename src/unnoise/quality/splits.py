"""Two noisy images with independent noise out of one.

They feed `unnoise.quality.frc` and other measures that need repeats. Independence rests on the
noise model: if the variance or gain is wrong, or the noise is correlated from pixel to pixel, the
two share noise. Ring correlations of them then report noise as detail. Even with the right model
they report *resolution*, not fidelity: a denoiser that invents the same detail in both scores well,
and smoothing inflates the score, since it removes the noise that would tell the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.errors import InputError
from unnoise.quality import blocks


def gaussian_split(
    noisy: ArrayLike, variance: ArrayLike, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(y + z, y - z)`` with z of the variance of the noise.

    The noises are n + z and n - z, whose covariance is var(n) - var(z) = 0: independent for
    Gaussian noise, each of twice the variance (Recorrupted-to-Recorrupted with alpha = 1; Pang et
    al., CVPR 2021). For other noise, they are only uncorrelated; for correlated noise, not even
    that.

    Parameters
    ----------
    noisy : array-like (y, x) or (z, y, x)
        The image.
    variance : array-like
        Noise variance, one number or one per pixel.
    rng : Generator
        Source of z.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> a, b = gaussian_split(np.ones((4, 4)), 1.0, np.random.default_rng(0))
    >>> bool(np.allclose((a + b) / 2, 1))
    True
    """
    (y,) = blocks.pixels(noisy)
    z = np.sqrt(blocks.variances(variance, y.shape)) * rng.standard_normal(y.shape)
    return y + z, y - z


def thin(
    counts: ArrayLike,
    gain: float,
    offset: float,
    rng: np.random.Generator,
    share: float = 0.5,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deal the photons of every pixel out to two images.

    ``k = round((y - offset) / gain)`` photons go to the first image with probability `share` each.
    If k is a Poisson count, the two are independent Poisson counts (Kingman, *Poisson Processes*,
    1993). Both are scaled back to the mean of the input, so their noise is stronger. Used for ring
    correlations of one image by Rieger et al. (Optics Express 2024).

    Readout noise is not split, and counts below zero become zero: for faint images with readout
    noise take `gaussian_split`.

    Parameters
    ----------
    counts : array-like (y, x) or (z, y, x)
        The image in image units.
    gain : float
        Image units per photon, above 0.
    offset : float
        Image value without light.
    rng : Generator
        Who deals.
    share : float
        Part of the photons that the first image gets, between 0 and 1.

    Raises
    ------
    InputError
        If gain or share are out of range, or values are not finite.

    Examples
    --------
    >>> a, b = thin(np.full((4, 4), 150.0), 2.0, 100.0, np.random.default_rng(0))
    >>> bool(np.allclose((a + b) / 2, 150))
    True
    """
    (y,) = blocks.pixels(counts)
    if not (gain > 0 and np.isfinite(gain)):
        raise InputError(f"the gain is {gain}; it must be above 0 image units per photon")
    if not 0 < share < 1:
        raise InputError(f"the share is {share}; it must lie between 0 and 1")
    photons = np.maximum(np.rint((y - offset) / gain), 0).astype(np.int64)
    first = rng.binomial(photons, share)
    return first / share * gain + offset, (photons - first) / (1 - share) * gain + offset
