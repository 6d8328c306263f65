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
