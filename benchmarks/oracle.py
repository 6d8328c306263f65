"""The variance line of the noise of an image whose truth is known: what no user could measure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 64
CLIPPED = 0.02
"""Most clipped pixels in a range of intensity: they have no noise."""


def line(noisy: NDArray, truth: NDArray) -> tuple[float, float]:
    """(A, B) of the noise variance A v + B, in the units of the noisy image.

    The truth is first mapped onto the noisy image, as their files may have been stretched
    separately. The variance of the residual is taken by ranges of intensity, and those with many
    clipped pixels (of integer images) are left out.

    Examples
    --------
    >>> truth = np.linspace(10, 90, 10_000).reshape(100, 100)
    >>> noise = np.random.default_rng(0).standard_normal(truth.shape) * np.sqrt(2 * truth + 5)
    >>> a, b = line(truth + noise, 3 * truth)
    >>> bool(abs(a / 2 - 1) < 0.1)
    True
    """
    x, t = noisy.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    slope, offset = np.polyfit(t, x, 1)
    signal = slope * t + offset
    clipped = np.zeros(x.shape, bool)
    if noisy.dtype.kind in "ui":
        clipped = (x <= x.min()) | (x >= x.max())
    rows = [
        (float(signal[part].mean()), float(np.var(x[part] - signal[part])), len(part))
        for part in np.array_split(np.argsort(signal, kind="stable"), BINS)
        if clipped[part].mean() < CLIPPED
    ]
    if len(rows) < 3:
        return 0.0, float(np.var(x - signal))
    s, v, n = np.array(rows).T
    expected = v
    for _ in range(4):  # weights of the line: bins that came out low would get too much
        a, b = np.polyfit(s, v, 1, w=np.sqrt(n / 2) / np.maximum(expected, 0.1 * v))
        expected = a * s + b
    return (float(a), float(b)) if a > 0 else (0.0, float(np.average(v, weights=n)))
