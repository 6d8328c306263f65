"""What the histogram tells: clipping at its ends and steps between its grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

MOST = 1 << 22  # pixels looked at: enough for every share, and about a second of work


@dataclass(frozen=True)
class Saturation:
    """Spikes at the two ends of the histogram; shares are of all finite pixels."""

    top: float
    top_share: float
    clipped_top: bool
    bottom: float
    bottom_share: float
    clipped_bottom: bool

    @property
    def found(self) -> bool:
        """Whether either end is clipped."""
        return self.clipped_top or self.clipped_bottom

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        ends = (
            (self.clipped_top, self.top_share, "brightest", self.top),
            (self.clipped_bottom, self.bottom_share, "darkest", self.bottom),
        )
        parts = [
            f"{percent(share)} of the pixels have the {end} value {value:g}"
            for clipped, share, end, value in ends
            if clipped
        ]
        return (
            f"{' and '.join(parts)}: they are clipped, so their noise is cut off and their true "
            "value cannot be recovered."
        )


@dataclass(frozen=True)
class Quantisation:
    """Steps between grey levels; ``step`` is 0 where no steps can be seen (continuous values)."""

    step: float
    regular: bool
    distinct: int
    empty: float
    integer: bool
    coarse: bool
    noise: float | None = None

    @property
    def found(self) -> bool:
        """Whether the steps are unusual for the type, or coarse against the noise."""
        return self.coarse or (self.integer and (self.step >= 2 or self.empty > 0.05))

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        if self.coarse:
            return (
                f"Grey levels are {self.step:.3g} apart, more than the noise ({self.noise:.2g}): "
                "rounding is part of the noise, unless these are counted photons."
            )
        if self.regular:
            return (
                f"Grey levels come in steps of {self.step:g}, as from a camera of fewer bits than "
                "the file: harmless as long as the noise is larger than a step."
            )
        return (
            f"{percent(self.empty)} of the grey levels are never used: the contrast was stretched "
            "after recording, so the noise is in stretched units."
        )


def saturation(planes: ArrayLike) -> Saturation:
    """Clipping at the top and the bottom of the occupied range.

    An end is clipped if it holds more than 0.1 % of the pixels and three times what the next
    levels lead one to expect: the largest of the next four counts, or, for histograms that fall
    steeply such as those of few photons, the geometric continuation ``n1^2 / n2``.

    Parameters
    ----------
    planes : (..., y, x)
        Any real type.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(200, 40, (128, 128))
    >>> saturation(noisy.clip(0, 255).astype(np.uint8)).clipped_top
    True
    """
    values, counts = np.unique(sample(planes), return_counts=True)
    if not len(values):
        return Saturation(0.0, 0.0, False, 0.0, 0.0, False)
    total = int(counts.sum())
    (top, top_share), (bottom, bottom_share) = (
        (float(values[i]), float(counts[i] / total)) for i in (-1, 0)
    )
    clipped_top, clipped_bottom = _spike(counts[::-1], total), _spike(counts, total)
    return Saturation(top, top_share, clipped_top, bottom, bottom_share, clipped_bottom)


def quantisation(planes: ArrayLike, *, noise: float | None = None) -> Quantisation:
    """Steps between occupied grey levels.

    The step is the greatest common divisor of all gaps where that is above one level; otherwise
    the mean gap in that part of the histogram where every level that exists must be occupied
    (10 pixels per level and more). Rounding adds a variance of ``step^2 / 12`` to the noise.

    Parameters
    ----------
    planes : (..., y, x)
        Any real type.
    noise : float, optional
        Standard deviation of the noise in grey levels.

    Examples
    --------
    >>> camera = np.random.default_rng(0).poisson(500, (64, 64)).astype(np.uint16) * 16
    >>> quantisation(camera).step
    16.0
    """
    flat = sample(planes)
    integer = flat.dtype.kind in "iub"
    values, counts = np.unique(flat, return_counts=True)
    step, regular, empty = steps(values, counts)
    coarse = noise is not None and 0 < noise < step
    return Quantisation(step, regular, len(values), empty, integer, coarse, noise)


def sample(planes: ArrayLike) -> NDArray:
    """At most MOST finite pixels, flat, in the given type."""
    flat = np.asarray(planes).reshape(-1)
    flat = flat[:: max(1, -(-flat.size // MOST))]
    return flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat


def _spike(counts: NDArray, total: int) -> bool:
    """Whether the first count is far above what those after it suggest."""
    if len(counts) < 5:  # masks and labels have no tail to compare with
        return False
    n0, n1, n2 = (float(n) for n in counts[:3])
    expected = max(float(counts[1:5].max()), n1 * n1 / n2)
    return n0 > max(8.0, 0.001 * total, 3 * expected, expected + 5 * sqrt(expected))


def steps(values: NDArray, counts: NDArray) -> tuple[float, bool, float]:
    """Step between levels, whether all gaps are multiples of it, and the share of empty levels."""
    if len(values) < 3:
        return 0.0, True, 0.0
    if values.dtype.kind in "iub":
        # From the lowest on, modulo 2^64: levels beyond 2^53 are no float64, nor those beyond 2^63
        # an int64, but what lies between them is.
        ordered = (values.astype(np.int64) - values[:1].astype(np.int64)).view(np.uint64)
        divisor = int(np.gcd.reduce(np.diff(ordered)))
        if divisor > 1:
            return float(divisor), True, 1 - 1 / divisor
        dense = _dense(ordered.astype(np.float64), counts)
        if len(dense) < 8:
            return 1.0, True, 0.0
        gaps = np.diff(dense)
        mean = float(gaps[gaps <= 3 * np.median(gaps)].mean())  # hot pixels lie far off
        return mean, mean < 1.05, 1 - 1 / mean
    if 2 * len(values) > counts.sum():
        return 0.0, True, 0.0
    dense = _dense(values.astype(np.float64), counts)
    if len(dense) < 3:
        return 0.0, True, 0.0
    gaps = np.diff(dense)
    step = float(np.median(gaps))
    multiples = gaps / step
    regular = bool((np.abs(multiples - multiples.round()) < 0.1).mean() > 0.95)
    return step, regular, 0.0


def _dense(values: NDArray[np.float64], counts: NDArray) -> NDArray[np.float64]:
    """The longest run of levels around the median that hold about 10 pixels each."""
    smooth = ndimage.median_filter(counts.astype(np.float64), 3, mode="nearest")
    middle = int(np.searchsorted(counts.cumsum(), counts.sum() / 2))
    sparse = np.flatnonzero(smooth < 10)
    low = sparse[sparse < middle].max(initial=-1) + 1
    high = sparse[sparse > middle].min(initial=len(values))
    return values[low:high] if smooth[middle] >= 10 else values[:0]


def percent(share: float) -> str:
    """A share in percent with two digits."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
