"""A noisy picture whose truth is known: a bundled image seen by a simulated camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def camera(
    photons: NDArray,
    *,
    gain: float = 2.0,
    read_noise: float = 2.0,
    offset: float = 100.0,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """What a scientific camera records of an expected number of photons per pixel.

    ``counts = gain * (Poisson(photons) + Normal(0, read_noise)) + offset``, rounded and clipped to
    16 bits (the EMVA 1288 model without dark current).

    Parameters
    ----------
    photons : ndarray
        Expected photo-electrons per pixel.
    gain : float
        Counts per electron.
    read_noise : float
        Standard deviation of the read noise in electrons.
    offset : float
        Counts at darkness.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    ndarray of uint16
        Recorded counts; their mean is ``gain * photons + offset``.

    Examples
    --------
    >>> counts = camera(np.full((64, 64), 50.0), rng=np.random.default_rng(0))
    >>> counts.dtype, abs(float(counts.mean()) - 200) < 1
    (dtype('uint16'), True)
    """
    electrons = rng.poisson(photons) + rng.normal(0, read_noise, np.shape(photons))
    return np.clip(np.rint(gain * electrons + offset), 0, 65535).astype(np.uint16)


def noisy_and_truth(seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """The demo picture: scikit-image's coins in dim light, and its noiseless counts.

    Returns
    -------
    noisy : ndarray of uint16, shape (303, 384)
    truth : ndarray of float64, shape (303, 384)
        Expected counts.
    """
    from skimage import data

    photons = 1.0 + np.asarray(data.coins()) / 255.0 * 30.0  # type: ignore[no-untyped-call]
    noisy = camera(photons, rng=np.random.default_rng(seed))
    return noisy, 2.0 * photons + 100.0
