"""Noise drawn anew: what a camera might have recorded of a clean picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import EMCCD, Clipped, PoissonGauss


def simulate(noise: NoiseModel, signal: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """A noisy picture of a clean one.

    Photons and multiplied electrons are drawn as such, with their tails (Basden et al., MNRAS
    2003), and ends of the grey levels cut off; all else is normal noise of the variance at the
    signal, also where a camera file tabulates other tails.

    Parameters
    ----------
    noise : noise model
        Of one channel.
    signal : array
        Clean values, in image units.
    rng : numpy.random.Generator
        Source of randomness.

    Examples
    --------
    >>> camera = PoissonGauss(gain=2.0, offset=100.0, read_variance=9.0)
    >>> noisy = simulate(camera, np.full(100_000, 150.0), np.random.default_rng(0))
    >>> round(float(noisy.mean())), round(float(noisy.var()), -1)
    (150, 110.0)
    """
    s = np.asarray(signal, np.float64)
    if isinstance(noise, EMCCD) or (isinstance(noise, PoissonGauss) and noise.gain > 0):
        counts = rng.poisson(np.maximum((s - noise.offset) / noise.gain, 0)).astype(np.float64)
        if isinstance(noise, EMCCD):  # of n electrons the register makes a gamma number
            counts[counts > 0] = rng.standard_gamma(counts[counts > 0])
        read = np.sqrt(noise.read_variance) * rng.standard_normal(s.shape)
        return np.asarray(noise.offset + noise.gain * counts + read)
    noisy = s + np.sqrt(noise.variance(s)) * rng.standard_normal(s.shape)
    return np.clip(noisy, noise.low, noise.high) if isinstance(noise, Clipped) else noisy
