"""Normal noise of a given autocorrelation, drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def drawn(
    rho: NDArray | None, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Normal noise of strength 1.

    Parameters
    ----------
    rho : ndarray with odd sides, or None
        Autocorrelation by lag along the last axes; white noise by default.
    shape : tuple of int
        Of the noise; axes before those of `rho` are independent.
    rng : Generator
        What it is drawn from.

    Examples
    --------
    >>> rho = np.array([[0.5, 1.0, 0.5]])
    >>> noise = drawn(rho, (3, 200, 200), np.random.default_rng(0))
    >>> round(float((noise[..., 1:] * noise[..., :-1]).mean()), 1), round(float(noise.std()), 1)
    (0.5, 1.0)
    """
    if rho is None:
        return rng.standard_normal(shape)
    space = shape[-rho.ndim :]
    sides = wide(space, rho.shape)
    axes = tuple(range(-rho.ndim, 0))
    white = rng.standard_normal((*shape[: -rho.ndim], *sides))
    shaped = fft.irfftn(fft.rfftn(white, axes=axes) * root(rho, sides), sides, axes=axes)
    return np.asarray(shaped[(..., *map(slice, space))])


def wide(space: tuple[int, ...], lags: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of a torus on which opposite borders of a patch are too far apart to be correlated."""
    return tuple(fft.next_fast_len(n + k // 2, real=True) for n, k in zip(space, lags, strict=True))


def root(rho: NDArray, sides: tuple[int, ...]) -> NDArray[np.float64]:
    """Square root of the spectrum of an autocorrelation, for `rfftn`.

    A measured autocorrelation can have a spectrum that is negative somewhere; it is cut off there,
    and scaled so that the variance stays 1.

    Parameters
    ----------
    rho : ndarray with odd sides
        Autocorrelation by lag.
    sides : tuple of int
        Sides of a torus, at least those of `rho`.

    Returns
    -------
    ndarray, shape (..., sides[-1] // 2 + 1)

    Examples
    --------
    >>> root(np.array([[0.0, 1.0, 0.0]]), (1, 4))
    array([[1., 1., 1.]])
    """
    whole = np.zeros(sides)
    whole[tuple(map(slice, rho.shape))] = rho
    whole = np.roll(whole, [-(n // 2) for n in rho.shape], axis=tuple(range(rho.ndim)))
    power = np.maximum(np.fft.fftn(whole).real, 0)
    power /= power.mean()
    return np.asarray(np.sqrt(power[..., : sides[-1] // 2 + 1]))
