"""Grey scales and colour ramps: from image units to 8-bit pixels."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAMPS = {
    "grey": "gray",
    "difference": "RdBu_r",  # blue below zero, red above, almost white between
    "amount": "viridis",
    "alarm": "inferno",  # dark where all is well, bright where it is not
}
"""The colour maps of matplotlib behind the names; all but the signed one rise in lightness."""

MOST_SAMPLES = 1_000_000


@dataclass(frozen=True)
class Scale:
    """The values shown with the first and the last colour of a ramp."""

    low: float
    high: float
    ramp: str = "grey"

    def levels(self, values: NDArray, count: int = 256) -> NDArray[np.uint8]:
        """Values as `count` equal steps of the scale, 0 to ``count - 1``.

        NaN becomes the lowest step, or the middle one (no difference) of a signed scale.
        """
        position = (values.astype(np.float64) - self.low) / (self.high - self.low)
        nothing = 0.5 if self.ramp == "difference" else 0.0
        position = np.nan_to_num(position, nan=nothing, posinf=1.0, neginf=0.0)
        step = np.minimum(np.clip(position, 0, 1) * count, count - 1)
        return np.asarray(step.astype(np.uint8))


@functools.cache
def ramp_colours(ramp: str, count: int = 256) -> NDArray[np.uint8]:
    """The colours of a ramp as (count, 3) bytes.

    Examples
    --------
    >>> ramp_colours("grey", 3)
    array([[  0,   0,   0],
           [128, 128, 128],
           [255, 255, 255]], dtype=uint8)
    """
    from matplotlib import colormaps  # only for a report: it takes 0.2 s to load

    return np.asarray(colormaps[RAMPS[ramp]](np.linspace(0, 1, count), bytes=True)[:, :3])


@functools.cache
def hex_colours(ramp: str, count: int = 256) -> tuple[str, ...]:
    """The colours of a ramp as ``#rrggbb``.

    Examples
    --------
    >>> hex_colours("grey", 3)
    ('#000000', '#808080', '#ffffff')
    """
    return tuple(f"#{colour.tobytes().hex()}" for colour in ramp_colours(ramp, count))


def hex_colour(value: float, scale: Scale) -> str:
    """The colour of one value as ``#rrggbb``."""
    return hex_colours(scale.ramp)[int(scale.levels(np.array([value]))[0])]


def samples(values: NDArray) -> NDArray[np.float64]:
    """Finite values on a regular grid, at most about a million of them."""
    step = max(1, int(np.ceil(np.sqrt(values.shape[0] * values.shape[1] / MOST_SAMPLES))))
    some = values[::step, ::step].astype(np.float64)
    return np.asarray(some[np.isfinite(some)])


def grey_scale(noisy: NDArray, clean: NDArray | None) -> Scale:
    """The grey scale shared by both: robust extremes of the clean picture if there is one.

    Noise would stretch the scale, and the structure would look flat, if it took part.
    """
    for values in (noisy if clean is None else clean, noisy):
        some = samples(values)
        low, high = np.percentile(some, (0.1, 99.9)) if some.size else (0.0, 0.0)
        if not high > low and some.size:  # a few bright points on a flat background
            low, high = some.min(), some.max()
        if high > low and np.isfinite(high - low):
            return Scale(float(low), float(high))
    half = max(0.5, abs(float(low)) * 1e-6)
    return Scale(float(low) - half, float(low) + half)


def signed_scale(values: NDArray, limit: float | None = None) -> Scale:
    """Symmetric about zero, up to twice the limit or the 99.5th percentile of the magnitude."""
    top = 2 * limit if limit else _top(np.abs(samples(values)), 99.5)
    return Scale(-top, top, "difference")


def positive_scale(values: NDArray, ramp: str, limit: float | None = None) -> Scale:
    """From zero to twice the limit; without one from zero or below to a robust maximum."""
    if limit:
        return Scale(0.0, 2 * limit, ramp)
    some = samples(values)
    low = min(0.0, float(some.min())) if some.size else 0.0
    return Scale(low, low + _top(some - low, 99.8), ramp)


def _top(magnitudes: NDArray[np.float64], percentile: float) -> float:
    """A robust maximum that is never zero."""
    if not magnitudes.size:
        return 1.0
    top = float(np.percentile(magnitudes, percentile)) or float(magnitudes.max())
    return top if top > 0 and np.isfinite(top) else 1.0
