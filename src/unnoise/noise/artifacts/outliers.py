"""Outliers: single pixels far from all around, such as hot pixels, that no noise explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unnoise.images.pixel_mask import fill
from unnoise.noise.artifacts import small_integers
from unnoise.noise.artifacts.bad_pixels import isolated

DARK = 0.5
"""Share of pixels at the lowest value of a picture that is mostly dark."""
FAR = 100.0
"""Outliers beyond so many times the range of all other pixels are taken out before any other
measure looks at them."""
CELL, MARGIN = 2048, 8
"""Outliers are searched in parts of this side, with so many pixels around them."""


def outliers(plane: NDArray, excluded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Single pixels far from all around, as `unnoise.noise.artifacts.bad_pixels.isolated` tells.

    Parameters
    ----------
    plane : ndarray, shape (y, x)
    excluded : ndarray of bool, shape (y, x)
        Pixels that are no measurement for another reason.

    Examples
    --------
    >>> plane = np.random.default_rng(0).poisson(50, (64, 64))
    >>> plane[20, 30] = 400
    >>> np.argwhere(outliers(plane, np.zeros(plane.shape, np.bool_)))
    array([[20, 30]])
    """
    out = np.zeros(plane.shape, np.bool_)
    if min(plane.shape) < 5 or plane.dtype.kind == "b":
        return out
    known = plane[~excluded] if excluded.any() else plane.ravel()
    if not known.size:
        return out
    some = known[:: max(known.size >> 20, 1)]
    ends = float(known.min()), float(known.max())
    whole = plane
    if excluded.any() or not _certainly_near(plane, some, ends):
        low, middle, high = _quantiles(some)
        if high > low and max(middle - ends[0], ends[1] - middle) > FAR * (high - low):
            with np.errstate(over="ignore"):
                out |= (np.abs(plane.astype(np.float64) - middle) > FAR * (high - low)) & ~excluded
        whole = fill(plane, excluded | out)
        if plane.dtype.kind == "f" and not 1e-30 < high - low < 1e30:  # squares stay in float32
            whole = whole.astype(np.float64) / (high - low or 1.0)
    for y in range(0, plane.shape[0], CELL):
        for x in range(0, plane.shape[1], CELL):
            top, left = max(y - MARGIN, 0), max(x - MARGIN, 0)
            part = whole[top : y + CELL + MARGIN, left : x + CELL + MARGIN]
            if min(part.shape) < 5:
                continue
            found = isolated(part) != 0
            cell = (slice(y, y + CELL), slice(x, x + CELL))
            size = out[cell].shape
            out[cell] |= found[y - top :, x - left :][: size[0], : size[1]]
    if not out.any():
        return out
    return out & ~excluded & (plane > _photons(known))


SHARES = (0.001, 0.5, 0.999)
"""Quantiles that tell the range of most pixels, and their middle."""
FEW = 16
"""One pixel in so many tells that none is beyond `FAR`, in a tenth of the time."""


def _quantiles(values: NDArray) -> tuple[float, float, float]:
    """Those at `SHARES`."""
    if small_integers.is_small(values):
        counts, start = small_integers.count(values)
        low, middle, high = small_integers.quantiles(counts, SHARES, start)
    else:
        low, middle, high = np.quantile(values.astype(np.float64), SHARES)
    return float(low), float(middle), float(high)


def _certainly_near(plane: NDArray, values: NDArray, ends: tuple[float, float]) -> bool:
    """Whether no pixel of a plane of small integers can be beyond `FAR`, by one value in `FEW`.

    Where a share of `FEW` times 0.001 of them lies below a level, 0.001 of all lie below it; so the
    range of most pixels is at least that between two such levels.
    """
    few = values[::FEW]
    if not small_integers.is_small(plane) or len(few) < 1000:
        return False
    counts, start = small_integers.count(few)
    share = 1.1 * FEW * SHARES[0]
    low, high = small_integers.quantiles(counts, (share, 1 - share), start)
    return bool(ends[1] - ends[0] <= FAR * (np.floor(high) - np.ceil(low)))


def _photons(known: NDArray) -> float:
    """Of a picture that is mostly dark, the value up to which single pixels may be photons.

    The lowest levels of few photons fall by a constant factor or faster; where so continued one
    pixel in ten pictures is expected, photons end. Pictures that are not mostly dark: no such
    value.
    """
    if (known == known.min()).sum() < DARK * known.size:
        return -np.inf
    levels, counts = np.unique(known, return_counts=True)
    if len(levels) < 2:
        return -np.inf
    falls = [counts[1] / counts[0]]
    falls += [counts[2] / counts[1]] if len(levels) > 2 else []
    fall = min(max(*falls, 1e-9) if len(falls) > 1 else falls[0], 0.9)
    more = max(np.log(10 * counts[1]) / -np.log(fall), 0.0)
    return float(levels[0]) + float(levels[1] - levels[0]) * (1 + float(np.ceil(more)))
