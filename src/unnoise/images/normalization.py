"""Per-channel normalisation, ``(x - mean) / std`` with the statistics of the training data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image

SPAN = (1e-140, 1e75)
"""Differences between values that the computation takes: the noise curve squares variances."""
MAX_PIXELS = 2**26
"""Pixels of one image that enter the statistics; larger images contribute a sample ..."""
FEWEST, WIDEST = 16, 2048
"""... of so many planes or squares at least, and at most so wide."""


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation per channel.

    Attributes
    ----------
    mean, std : ndarray, shape (C,), float64
        Statistics in the units of the image. A standard deviation of 0 marks a constant channel.

    Examples
    --------
    >>> x = np.arange(12.0).reshape(1, 3, 4)
    >>> affine = ChannelStatistics(mean=np.array([5.5]), std=np.array([2.0]))
    >>> bool(np.allclose(affine.invert(affine.apply(x)), x))
    True
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def select(self, channels: list[int]) -> ChannelStatistics:
        """The statistics of some channels."""
        return ChannelStatistics(self.mean[channels], self.std[channels])

    def apply(self, x: NDArray) -> NDArray[np.float32]:
        """Normalise a block of shape (C, *space).

        The subtraction happens in float64, so that 32-bit counts with a large offset survive.
        """
        mean, std = self._over(x)
        return np.asarray((x - mean) / std, np.float32)

    def invert(self, x: NDArray) -> NDArray[np.float64]:
        """Take a normalised block of shape (C, *space) back to the units of the image."""
        mean, std = self._over(x)
        return np.asarray(x * std + mean)

    def scale(self, x: NDArray) -> NDArray[np.float64]:
        """Take normalised standard deviations of shape (C, *space) to the units of the image."""
        return np.asarray(x * self._over(x)[1], np.float64)

    def _over(self, x: NDArray) -> tuple[NDArray, NDArray]:
        shape = (-1,) + (1,) * (x.ndim - 1)
        std = np.where(self.std > 0, self.std, 1.0)
        return self.mean.reshape(shape), std.reshape(shape)


def planes(image: Image, step: int = 1) -> Iterator[tuple[NDArray, NDArray[np.bool_] | None]]:
    """Planes of shape (C, Y, X), one (S, T, Z) position after the other, and excluded pixels.

    With a `step` about one pixel in so many: of every `step` planes one, or of wide ones squares,
    so that of files that are stored in tiles or strips most are not read. Which one is random,
    because evenly spaced ones can all be the same slice of every stack.
    """
    n = image.sizes
    side = max(n["Y"], n["X"])
    shape = (n["S"], n["T"], n["Z"], 1, 1)
    if step > 1:
        side = min(side, WIDEST)
        while True:
            shape = (*shape[:3], -(-n["Y"] // side), -(-n["X"] // side))
            if math.prod(shape) // step >= FEWEST or side <= FEWEST:
                break
            side //= 2
    total = math.prod(shape)
    which = np.arange(total)
    if step > 1:
        edges = np.linspace(0, total, max(total // step, 1) + 1).astype(int)
        which = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    for s, t, z, i, j in np.stack(np.unravel_index(which, shape), 1).tolist():
        where: ax.Where = {
            "S": s,
            "T": t,
            "Z": z,
            "Y": slice(i * side, (i + 1) * side),
            "X": slice(j * side, (j + 1) * side),
        }
        excluded = image.excluded(where)
        yield image.read(where)[0, 0, :, 0], None if excluded is None else excluded[0, 0, :, 0]


def channel_statistics(images: Iterable[Image]) -> ChannelStatistics:
    """Mean and standard deviation per channel over all pixels of all images that are measurements.

    Images above `MAX_PIXELS` contribute some of their planes, or squares of them. The moments of
    the parts are joined by the parallel formula of Chan, Golub and LeVeque (1983), which does not
    cancel.

    Raises
    ------
    InputError
        If every channel is constant: there is no noise to remove; or if values are so large or
        small that their squares are no numbers.
    """
    count, mean, m2 = np.zeros(1), np.zeros(1), np.zeros(1)
    for image in images:
        n = image.sizes
        step = -(-n["S"] * n["T"] * n["Z"] * n["Y"] * n["X"] // MAX_PIXELS)
        for plane, excluded in planes(image, step):
            x = plane.reshape(plane.shape[0], -1).astype(np.float64)
            if image.dtype.kind == "f":
                _check_span(x if excluded is None else x[~excluded.reshape(x.shape)], image.name)
            if excluded is None:
                n_part, part_mean = np.array([float(x.shape[1])]), x.mean(1)
                part_m2 = x.var(1) * x.shape[1]
            else:
                n_part, part_mean, part_m2 = _moments(x, ~excluded.reshape(x.shape))
            delta, total = part_mean - mean, count + n_part
            mean = mean + delta * n_part / np.maximum(total, 1)
            m2 = m2 + part_m2 + delta**2 * count * n_part / np.maximum(total, 1)
            count = total
    std = np.sqrt(m2 / np.maximum(count, 1))
    # Rounding leaves about 1e-16 of the mean in the variance of a constant.
    std = np.where(std > 1e-12 * np.abs(mean), std, 0.0)
    if not (std > 0).any():
        raise InputError(
            f"the image is constant (every pixel is {mean[0]:g}), so there is nothing to denoise; "
            f"check that the right file, channel or axes were given"
        )
    return ChannelStatistics(mean, std)


def _check_span(x: NDArray, name: str) -> None:
    """Refuse values whose variance, or the square of it, is infinite or 0 in 64 bits."""
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(
            f"{name} has NaN or infinite pixels; mark them first as no measurement, with "
            f"unnoise.with_mask"
        )
    span = (high / 2 - low / 2) * 2
    if span and not SPAN[0] < span < SPAN[1]:
        raise InputError(
            f"the values of {name} span {span:.3g}, too {'little' if span < 1 else 'much'} for the "
            f"computation with their squares; multiply them by {10.0 ** -_exponent(x):.0e} first"
        )


def _exponent(x: NDArray) -> int:
    """The power of ten of the largest value, as far as its inverse is a number."""
    return max(min(int(np.floor(np.log10(np.abs(x).max()))), 307), -307)


def _moments(x: NDArray, used: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
    """Number, mean and sum of squares around it of the used values of every row."""
    n = used.sum(1).astype(np.float64)
    mean = np.where(used, x, 0).sum(1) / np.maximum(n, 1)
    return n, mean, (np.where(used, x - mean[:, None], 0) ** 2).sum(1)
