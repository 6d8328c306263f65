"""The photon-transfer curve of correlated noise.

Pixels further apart than the correlation have white noise of the same strength, but between them
texture looks like noise, too. So what they say is bounded where texture is: by the high frequencies
of all pixels, or by the blocks in which `unnoise.noise.noise_or_texture` found no texture.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from unnoise.noise import photon_transfer
from unnoise.noise.correlation import CERTAIN, Correlation
from unnoise.noise.cosine_blocks import HIGH, LOW, SIDE
from unnoise.noise.photon_transfer import TEXTURE, PhotonTransfer, fitted, scaled
from unnoise.noise.sparse_counts import Sparse, sparse

LEAST_SIDE = 32
"""Where planes of pixels apart from each other are smaller, noise is measured another way."""
LEAST_SHARE = 0.03
"""Least power of low or of high frequencies that is believed."""
LEAST_HIGH = 0.3
"""Below this share of white noise's, high frequencies say too little of correlated noise."""
TEXTURED, BUSY = 1.5, 3.0
"""Between pixels apart from each other texture looks like noise. What they say of its strength by
signal is better than what blocks say (widefield: +1 dB), but no more than so many times theirs is
believed, and nothing beyond (text: 20 times)."""
NOTHING = 0.35
"""Strength that white noise would have, over that of correlated noise, below which there is none.
Where fine texture was taken for correlated noise it was 0.45 and more, in a photograph of PolyU
0.1 to 0.32."""
MOST_RANGES = 16
"""Ranges of intensity."""


def measure(
    planes: NDArray, acf: Correlation | None, excluded: NDArray[np.bool_] | None = None
) -> PhotonTransfer | None:
    """Noise variance against intensity of one channel, by the way that its correlation allows.

    Parameters
    ----------
    planes, excluded : ndarray, shape (n, y, x)
        Noisy planes, and which of their pixels are no measurement.
    acf : Correlation or None
        How the noise is correlated.

    Returns
    -------
    PhotonTransfer or None
        None where nothing could be measured.

    Examples
    --------
    >>> from scipy import ndimage
    >>> from unnoise.noise import correlation
    >>> white = np.random.default_rng(0).normal(0, 9, (1, 256, 256))
    >>> noise = ndimage.uniform_filter(white, (1, 3, 3))
    >>> round(measure(noise, correlation.measure(noise)).level ** 0.5)
    3
    """
    if (photons := sparse(planes, excluded)) is not None:
        return _counted(photons)
    if acf is None or not set("YX") & set(acf.along):
        # The high frequencies of noise with a correlation of 0.06 hold 0.85 of white noise's power.
        weak = (1.0, 1.0) if acf is None else shares(acf.probable)
        return photon_transfer.measure(planes, excluded, shares=weak)
    found = _correlated(planes, acf, excluded)
    if acf.share == 1 or found is None:
        return found
    # Texture looks like strong noise, and the high frequencies of white noise hold less of it.
    white = photon_transfer.measure(planes, excluded)
    if white is None or white.level >= found.level:
        return found
    return scaled(found, 1.0, (white.level / found.level) ** (1 - acf.share))


def _counted(found: Sparse) -> PhotonTransfer:
    """The curve of single photons in the dark, whose mean tells their variance.

    Nearly all blocks of these hold none or one, and what the others show is chance.
    """
    rates = found.most * np.geomspace(2.0**-8, 1, MOST_RANGES)
    error = 1 / math.sqrt(found.photons)
    half = 1.96 * error * found.gain
    return PhotonTransfer(
        signal=found.offset + found.gain * rates,
        variance=found.gain**2 * rates,
        error=found.gain**2 * rates * error,
        gain=found.gain,
        gain_low=found.gain - half,
        gain_high=found.gain + half,
        intercept=-found.gain * found.offset,
        curvature=1.0,
        level=found.gain**2 * found.mean,
        level_error=math.hypot(error, TEXTURE),
    )


def without_doubt(
    planes: NDArray, acf: Correlation, excluded: NDArray[np.bool_] | None = None
) -> Correlation:
    """The same, certain where high frequencies hold too little for white noise over texture."""
    if not set("YX") & set(acf.along) or acf.share == 1:
        return acf
    found = _correlated(planes, acf, excluded)
    white = photon_transfer.measure(planes, excluded)
    if found is None or white is None or white.level > NOTHING**2 * found.level:
        return acf
    return replace(acf, odds=CERTAIN)


def _correlated(
    planes: NDArray, acf: Correlation, excluded: NDArray[np.bool_] | None
) -> PhotonTransfer | None:
    """The curve of noise that is surely correlated."""
    power = shares(acf.neighbours)
    if power[1] > LEAST_HIGH:
        near = photon_transfer.measure(planes, excluded, shares=power, falling=True)
    else:
        near = of_blocks(acf.signal, acf.variance, acf.whole)
    y, x = acf.apart
    if y * x == 1 or min(planes.shape[1] // y, planes.shape[2] // x) < LEAST_SIDE:
        return near
    # Between pixels apart a little of the correlation is left: 12 % of the strength in widefield.
    ry, rx = (n // 2 for n in acf.neighbours.shape)
    left = shares(acf.neighbours[ry % y :: y, rx % x :: x])
    hidden = None if excluded is None else phases(excluded, (y, x))
    far = photon_transfer.measure(phases(planes, (y, x)), hidden, shares=left, falling=True)
    if far is None:
        return near
    if near is None or far.level <= TEXTURED**2 * near.level:
        return far
    if far.level > BUSY**2 * near.level:
        return near
    return scaled(far, 1.0, TEXTURED**2 * near.level / far.level)


def of_blocks(signal: NDArray, variance: NDArray, whole: NDArray | None = None) -> PhotonTransfer:
    """The curve through the variances of single blocks without texture.

    For noise so correlated that its high frequencies do not tell its level; the blocks are those
    of `unnoise.noise.correlation.measure`.

    Parameters
    ----------
    signal, variance : ndarray, shape (blocks,)
        Mean intensity and noise variance of every block.
    whole : ndarray, optional
        Mean intensity of all blocks of the picture, over which the level is the mean.

    Examples
    --------
    >>> of_blocks(np.arange(64.0), 2 * np.arange(64.0) + 5).gain.__round__(3)
    2.0
    """
    unit = float(np.sqrt(variance.mean())) or 1.0
    signal, variance = signal / unit, variance / unit**2
    n_bins = int(np.clip(len(signal) // 16, 1, MOST_RANGES))
    rows = []
    for group in np.array_split(np.argsort(signal, kind="stable"), n_bins):
        values = variance[group]
        middle = float(np.median(values))  # blocks with texture lie above
        error = 1.25 * float(values.std() / np.sqrt(len(group))) if len(group) > 1 else middle
        error = max(float(np.hypot(error, 0.05 * middle)), 1e-9)
        rows.append((float(signal[group].mean()), middle, error))
    curve = fitted(rows)
    over = signal if whole is None else whole / unit
    return scaled(replace(curve, level=float(curve.at(over).mean())), unit, 1.0)


def phases(planes: NDArray, apart: tuple[int, int]) -> NDArray:
    """Planes of pixels so far apart in Y and X that they do not tell each other's noise.

    Examples
    --------
    >>> phases(np.arange(12).reshape(1, 2, 6), (1, 3)).tolist()
    [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]
    """
    sides = [n // step * step for n, step in zip(planes.shape[1:], apart, strict=True)]
    whole = planes[:, : sides[0], : sides[1]]
    return np.concatenate([whole[:, y :: apart[0], x :: apart[1]] for y, x in np.ndindex(*apart)])


def shares(rho: NDArray) -> tuple[float, float]:
    """Noise power in the low and the high cosine coefficients of a block, over white noise's.

    Parameters
    ----------
    rho : ndarray with odd sides
        Autocorrelation of the noise.

    Examples
    --------
    >>> white = np.zeros((13, 13))
    >>> white[6, 6] = 1
    >>> np.round(shares(white), 6).tolist()
    [1.0, 1.0]
    """
    if np.count_nonzero(rho) == 1:
        return 1.0, 1.0
    reach = np.array(rho.shape) // 2
    i, j = np.indices((SIDE, SIDE))
    position = np.stack([i.ravel(), j.ravel()], 1)
    lag = position[:, None] - position[None]
    covariance = np.where(
        (np.abs(lag) <= reach).all(2),
        rho[tuple(np.clip(lag + reach, 0, 2 * reach).transpose(2, 0, 1))],
        0.0,
    )
    one = fft.dct(np.eye(SIDE), axis=0, norm="ortho")
    basis = np.einsum("ay,bx->abyx", one, one).reshape(SIDE * SIDE, -1)
    power = np.einsum("ki,ij,kj->k", basis, covariance, basis)
    low, high = (i + j >= 1) & (i + j <= LOW), i + j >= HIGH
    # A measured autocorrelation may leave nothing, or less.
    held = [max(float(power[which.ravel()].mean()), LEAST_SHARE) for which in (low, high)]
    return held[0], held[1]
