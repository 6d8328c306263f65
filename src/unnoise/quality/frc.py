"""Fourier ring and shell correlation: up to which detail two images agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from unnoise.errors import InputError
from unnoise.quality import blocks

TAPER = 0.5
"""Part of each axis over which the edges fade, so that they are no detail.

Strong signal leaks 3 rings beyond a sharp band limit (0.25: 5 rings). 1, a Hann window, leaks 2,
but uses fewer pixels, so that noisy curves fell early more often.
"""

FEWEST = 30
"""Rings of fewer coefficients (in 2D the first four) are not judged: chance decides there."""


@dataclass(frozen=True, eq=False)
class Frc:
    """Correlation by frequency.

    Parameters
    ----------
    frequency : ndarray (rings,)
        Centres of the rings in cycles per pixel, or per unit of the spacing.
    correlation : ndarray (rings,)
        Correlation of the two spectra in each ring, -1 to 1.
    count : ndarray of int (rings,)
        Fourier coefficients in each ring; half of them are independent, as the images are real.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    count: NDArray[np.int64]


def frc(a: ArrayLike, b: ArrayLike, *, spacing: Sequence[float] | None = None) -> Frc:
    """Fourier ring correlation of two images (shells in 3D) with independent noise.

    ``sum Re(A conj B) / sqrt(sum |A|^2 sum |B|^2)`` over each ring (Saxton and Baumeister, J.
    Microscopy 1982; van Heel, Ultramicroscopy 1987; in light microscopy Nieuwenhuizen et al.,
    Nature Methods 2013, and Banterle et al., J. Struct. Biol. 2013). Means are removed and the
    edges fade out in a Tukey window; the ring of frequency 0 is left out.

    It measures how far two images agree, not whether they are right: see `unnoise.quality.splits`.

    Parameters
    ----------
    a, b : array-like (y, x) or (z, y, x)
        The two images.
    spacing : sequence of float, optional
        Size of a pixel along each axis; without it, pixels are cubes of side 1.

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
    size = np.ones(x.ndim) if spacing is None else np.asarray(spacing, np.float64)
    if size.shape != (x.ndim,) or not (np.isfinite(size).all() and (size > 0).all()):
        raise InputError(f"the spacing is {spacing}; pass {x.ndim} numbers above 0")
    spectra = [fft.rfftn(_faded(image)) for image in (x, y)]
    axes: list[NDArray] = [np.fft.fftfreq(n, d) for n, d in zip(x.shape, size, strict=True)]
    axes[-1] = np.fft.rfftfreq(x.shape[-1], size[-1])
    length = float((size * x.shape).max())  # one ring per cycle over the longest side
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij", sparse=True)))
    rings = int(0.5 / size.min() * length + 1e-9)
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


def _half_bit(count: NDArray) -> NDArray[np.float64]:
    """Half a bit of information per coefficient (van Heel and Schatz, J. Struct. Biol. 2005)."""
    root = np.sqrt(np.maximum(count / 2, 1))  # the other half are complex conjugates
    return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root))


CRITERIA: dict[str, Callable[[NDArray], NDArray]] = {
    "1/7": lambda count: np.full(count.shape, 1 / 7),
    "half-bit": _half_bit,
}


def resolution(curve: Frc, criterion: str = "1/7") -> float | None:
    """Size of the finest detail on which the two images agree, in pixels (or units of the spacing).

    One over the frequency where the lightly smoothed curve first falls below the criterion for two
    rings, interpolated linearly. Details larger than about a fifth of the image are not judged.

    Parameters
    ----------
    curve : Frc
        From `frc`.
    criterion : str
        ``1/7`` (Nieuwenhuizen et al. 2013) or ``half-bit`` (van Heel and Schatz 2005).

    Returns
    -------
    float or None
        None if the curve never falls below: it stays above up to the finest ring (the pixels limit
        the resolution, or the two share noise), or is below from the start (no common detail).

    Raises
    ------
    InputError
        If the criterion is unknown.

    Examples
    --------
    >>> f = np.arange(1, 9) / 16
    >>> curve = Frc(f, np.linspace(1, 0, 8), np.full(8, 50))
    >>> round(resolution(curve), 1)
    2.3
    >>> resolution(Frc(f, np.ones(8), np.full(8, 50))) is None
    True
    """
    if criterion not in CRITERIA:
        raise InputError(f"unknown criterion '{criterion}'; choose {' or '.join(CRITERIA)}")
    above = _smooth(curve) - CRITERIA[criterion](curve.count)
    judged = curve.count >= FEWEST
    above, frequency = above[judged], curve.frequency[judged]
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
    centred[np.abs(centred) < 1e-12 * max(1.0, float(np.abs(image).max()))] = 0
    return np.asarray(centred * window)
