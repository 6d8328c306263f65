"""Grey scales and colour ramps: from image units to 8-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAMPS: dict[str, tuple[str, ...]] = {
    "grey": ("#000000", "#ffffff"),
    # Blue, almost white, red: differences from zero.
    "difference": ("#08306b", "#3f83bf", "#b5cfe3", "#f6f6f4", "#f0bfa8", "#ca5a4a", "#67001f"),
    # Even steps of lightness, for amounts.
    "amount": ("#1b0c3f", "#3b3f84", "#287a8e", "#35ad7c", "#b2d84a", "#fdf3a7"),
    # Dark where all is well, bright where it is not.
    "alarm": ("#16161d", "#4a1f5e", "#a3325f", "#e2673a", "#f9b53d", "#fcf8bd"),
}
"""Colours at equal distances, from low to high."""

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


def ramp_colours(ramp: str, count: int = 256) -> NDArray[np.uint8]:
    """The colours of a ramp as (count, 3) bytes, interpolated between its stops.

    Examples
    --------
    >>> ramp_colours("grey", 3)
    array([[  0,   0,   0],
           [128, 128, 128],
           [255, 255, 255]], dtype=uint8)
    """
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in RAMPS[ramp]])
    at = np.linspace(0, len(stops) - 1, count)
    bands = [np.interp(at, np.arange(len(stops)), stops[:, band]) for band in range(3)]
    return np.asarray(np.rint(np.stack(bands, axis=1)).astype(np.uint8))


def hex_colour(value: float, scale: Scale) -> str:
    """The colour of one value as ``#rrggbb``."""
    level = scale.levels(np.array([value]))[0]
    return "#" + "".join(f"{band:02x}" for band in ramp_colours(scale.ramp)[level])


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
