"""Scattered pixels without a measurement, made such that the noise around them can be measured.

A hole that is filled smoothly has no noise. Where every block has some, none is left to measure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEAST = 0.03
"""Share of such holes below which blocks without any are left."""
SIDE, KNOWN = 9, 0.35
"""Side of the surroundings, and the share of them that was measured around a scattered hole."""
WIDTH = 2.0
"""Standard deviation, in pixels, of the window of means."""
FAR, TRIES = 6, 16
"""How far pixels lie at most whose noise is taken, and how often one is looked for."""


def with_noise(
    planes: NDArray[np.float64], excluded: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Planes whose scattered holes hold noise from around them, and what is excluded still.

    A hole becomes the mean of the measured pixels around it and the deviation of one of them, drawn
    at random, from the mean around that one.

    Parameters
    ----------
    planes : ndarray, shape (n, y, x)
        Noisy planes, filled where nothing was measured.
    excluded : ndarray of bool, shape (n, y, x), or None
        Pixels that are no measurement.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, holes = rng.normal(0, 5, (1, 128, 128)), rng.random((1, 128, 128)) < 0.3
    >>> noisy, left = with_noise(np.where(holes, 0, y), holes)
    >>> bool(left.any()), round(float(noisy[holes].std()))
    (False, 5)
    """
    if excluded is None or not excluded.any():
        return planes, excluded
    known = (~excluded).astype(np.float64)
    share = ndimage.uniform_filter(known, (1, SIDE, SIDE))
    holes = excluded & (share > KNOWN)
    if holes.mean() < LEAST:
        return planes, excluded
    rng = np.random.default_rng(0)
    weight = ndimage.gaussian_filter(known, (0, WIDTH, WIDTH))
    total = ndimage.gaussian_filter(np.where(excluded, 0.0, planes), (0, WIDTH, WIDTH))
    mean = total / np.maximum(weight, 1e-9)
    at = np.stack(np.nonzero(holes))
    source = np.full(at.shape[1], -1)
    for _ in range(TRIES):
        open_ = np.flatnonzero(source < 0)
        plane, *place = at[:, open_]
        moved = [p + rng.integers(-FAR, FAR + 1, len(open_)) for p in place]
        inside = [np.clip(m, 0, n - 1) for m, n in zip(moved, planes.shape[1:], strict=True)]
        found = np.ravel_multi_index((plane, *inside), planes.shape)
        good = ~excluded.flat[found]
        source[open_[good]] = found[good]
    at, source = at[:, source >= 0], source[source >= 0]
    there = tuple(at)
    # The mean has a part of the noise, and takes more from a pixel in its middle.
    part = 1 / (4 * np.pi * WIDTH**2 * weight[there])
    grown = np.sqrt((1 - part) / np.maximum(1 - 3 * part, 0.1))
    noisy, left = planes.copy(), excluded.copy()
    noisy[there] = mean[there] + grown * (planes.flat[source] - mean.flat[source])
    left[there] = False
    return noisy, left
