"""Fourier ring and shell correlation: up to which detail two images agree, or halves of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from unnoise.quality import blocks

TAPER = 0.5
"""Part of each axis over which the edges fade, so that they are no detail.

Strong signal leaks 3 rings beyond a sharp band limit (0.25: 5 rings). 1, a Hann window, leaks 2,
but uses fewer pixels, so that noisy curves fell early more often.
"""

CRITERION = 1 / 7
"""Correlation down to which detail counts as common (Nieuwenhuizen et al. 2013)."""
FEWEST = 30
"""Rings of fewer coefficients (in 2D the first four) are not judged: chance decides there."""


@dataclass(frozen=True, eq=False)
class Frc:
    """Correlation by frequency.

    Parameters
    ----------
    frequency : ndarray (rings,)
        Centres of the rings in cycles per pixel.
    correlation : ndarray (rings,)
        Correlation of the two spectra in each ring, -1 to 1.
    count : ndarray of int (rings,)
        Fourier coefficients in each ring; half of them are independent, as the images are real.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    count: NDArray[np.int64]


def gaussian_split(
    noisy: ArrayLike, variance: ArrayLike, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two noisy images with independent noise out of one: ``(y + z, y - z)``.

    Independence rests on the noise model: if the variance is wrong, or the noise is correlated from
    pixel to pixel, the two share noise, and ring correlations of them report noise as detail. Even
    with the right model they report *resolution*, not fidelity: a denoiser that invents the same
    detail in both scores well, and smoothing inflates the score, since it removes the noise that
    would tell the two apart.

    With z of the variance of the noise the noises are n + z and n - z, whose covariance is var(n) -
    var(z) = 0: independent for Gaussian noise, each of twice the variance (R2R with alpha = 1; Pang
    et al., CVPR 2021). For other noise, they are only uncorrelated; for correlated noise, not even
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


def frc(a: ArrayLike, b: ArrayLike) -> Frc:
    """Fourier ring correlation of two images (shells in 3D) with independent noise.

    ``sum Re(A conj B) / sqrt(sum |A|^2 sum |B|^2)`` over each ring (Saxton and Baumeister, J.
    Microscopy 1982; van Heel, Ultramicroscopy 1987; in light microscopy Nieuwenhuizen et al.,
    Nature Methods 2013, and Banterle et al., J. Struct. Biol. 2013). Means are removed and the
    edges fade out in a Tukey window; the ring of frequency 0 is left out.

    It measures how far two images agree, not whether they are right: see `gaussian_split`.

    Parameters
    ----------
    a, b : array-like (y, x) or (z, y, x)
        The two images.

    Raises
    ------
    InputError
        If shapes do not fit or values are not finite.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(32, 32))
    >>> curve = frc(x, x)
    >>> bool(np.allclose(curve.correlation, 1))
    True
    """
    x, y = blocks.pixels(a, b)
    spectra = [fft.rfftn(_faded(image)) for image in (x, y)]
    axes = [*map(np.fft.fftfreq, x.shape[:-1]), np.fft.rfftfreq(x.shape[-1])]
    length = float(max(x.shape))  # one ring per cycle over the longest side
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij", sparse=True)))
    rings = int(0.5 * length + 1e-9)
    index = np.minimum((radius * length + 0.5 + 1e-9).astype(np.int64), rings + 1).ravel()
    # the half spectrum stands for both halves, except its first and (of an even axis) last column
    weight = np.full(spectra[0].shape, 2.0)
    weight[..., 0] = 1
    if x.shape[-1] % 2 == 0:
        weight[..., -1] = 1

    def ring(values: NDArray) -> NDArray[np.float64]:
        total = np.bincount(index, (weight * values).ravel(), minlength=rings + 2)
        return np.asarray(total[1 : rings + 1])

    cross = ring((spectra[0] * spectra[1].conj()).real)
    power = np.sqrt(ring(np.abs(spectra[0]) ** 2) * ring(np.abs(spectra[1]) ** 2))
    correlation = np.divide(cross, power, out=np.zeros(rings), where=power > 0)
    count = np.rint(ring(np.ones(weight.shape))).astype(np.int64)
    kept = count > 0
    frequency = np.arange(1, rings + 1, dtype=np.float64) / length
    return Frc(frequency[kept], np.clip(correlation, -1, 1)[kept], count[kept])


def resolution(curve: Frc) -> float | None:
    """Size of the finest detail on which the two images agree, in pixels.

    One over the frequency where the lightly smoothed curve first falls below 1/7 for two rings,
    interpolated linearly. Details larger than about a fifth of the image are not judged.

    Parameters
    ----------
    curve : Frc
        From `frc`.

    Returns
    -------
    float or None
        None if the curve never falls below: it stays above up to the finest ring (the pixels limit
        the resolution, or the two share noise), or is below from the start (no common detail).

    Examples
    --------
    >>> f = np.arange(1, 9) / 16
    >>> curve = Frc(f, np.linspace(1, 0, 8), np.full(8, 50))
    >>> round(resolution(curve), 1)
    2.3
    >>> resolution(Frc(f, np.ones(8), np.full(8, 50))) is None
    True
    """
    judged = curve.count >= FEWEST
    above, frequency = _smooth(curve)[judged] - CRITERION, curve.frequency[judged]
    stays = np.append(above[2:], above[-1:]) < 0  # one low ring among high ones is chance
    falls = np.flatnonzero((above[:-1] >= 0) & (above[1:] < 0) & stays)
    if not falls.size:
        return None
    i = int(falls[0])
    part = above[i] / (above[i] - above[i + 1])
    return float(1 / (frequency[i] + part * (frequency[i + 1] - frequency[i])))


def _smooth(curve: Frc) -> NDArray[np.float64]:
    """Mean over 3 rings, weighted by their coefficients."""
    weight = curve.count.astype(np.float64)
    total = ndimage.uniform_filter1d(weight * curve.correlation, 3, mode="nearest")
    return np.asarray(total / ndimage.uniform_filter1d(weight, 3, mode="nearest"))


def _faded(image: NDArray) -> NDArray[np.float64]:
    """The image less its weighted mean, times the window."""
    from scipy.signal import windows  # 0.1 s to load, after the training

    window = np.ones(())
    for n in image.shape:  # n + 2 samples without their zero ends, so that thin axes survive
        window = window[..., None] * windows.tukey(n + 2, TAPER)[1:-1]
    centred = image - image.mean()
    centred = centred - (centred * window).sum() / window.sum()
    # rounding alone is no detail
    centred[np.abs(centred) < 1e-12 * float(np.abs(image).max())] = 0
    return np.asarray(centred * window)
