"""Autocovariance of noise in blocks without texture: which blocks, and how their trend is undone.

Every block loses its quadratic surface, which holds slow changes of the scene and a little of the
noise. What this does to an autocovariance is linear, so a system of equations takes it back.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from unnoise.noise.planes import block_means, blocks
from unnoise.noise.sparse_counts import at_an_end

SHARE = 0.15
"""Share of the blocks that is used: the calmest."""
FEWEST = 30


def detrended(planes: NDArray, side: int) -> tuple[NDArray, NDArray, tuple[int, ...]]:
    """Blocks without their quadratic surface, their variance, and how they lie."""
    cut = blocks(planes.astype(np.float64), side).transpose(0, 1, 3, 2, 4)
    flat = cut.reshape(-1, side * side)
    flat = flat - flat.mean(1, keepdims=True)  # large offsets must not cancel
    flat = without_surface(flat, side)
    power = (flat**2).sum(1) / (side * side - _surface(side).shape[1])
    return flat.reshape(-1, side, side), power, cut.shape[:3]


def without_surface(flat: NDArray, side: int) -> NDArray[np.float64]:
    """Blocks less their quadratic surface, shape (blocks, side * side)."""
    basis = _surface(side)
    return np.asarray(flat - (flat @ basis) @ basis.T)


def calm(
    r: NDArray, power: NDArray, grid: tuple[int, ...], planes: NDArray, side: int
) -> NDArray[np.bool_]:
    """Which blocks have the least texture, judged by the neighbours of each."""
    fine = r[:, 1:, 1:] - r[:, 1:, :-1] - r[:, :-1, 1:] + r[:, :-1, :-1]
    floor = 1e-9 * max(float(power.max()), 1e-300)
    ratio = np.log((power + floor) / ((fine**2).mean((1, 2)) / 4 + floor)).reshape(grid)
    clipped = block_means(at_an_end(planes), side).ravel()
    alive = power > 1e-6 * float(np.median(power[power > 0])) if (power > 0).any() else power > 0
    usable = alive & (clipped < 0.05)
    if usable.sum() < FEWEST:
        usable = alive & (clipped < 0.98)
    if usable.sum() < 4:
        return np.asarray(usable)
    around = np.ones((1, 3, 3))
    around[0, 1, 1] = 0
    living = usable.reshape(grid).astype(np.float64)
    weight = ndimage.convolve(living, around, mode="constant")
    judged = ndimage.convolve(living * ratio, around, mode="constant") / np.maximum(weight, 1)
    score = np.where(weight > 0, judged, ratio).ravel()  # a block alone is judged by itself
    most = np.quantile(score[usable], min(max(SHARE, FEWEST / usable.sum()), 1.0))
    return np.asarray(usable & (score <= most))


def fade(planes: NDArray, power: NDArray, chosen: NDArray, side: int) -> float:
    """Median variance of the quarters of the chosen blocks, over that of the blocks."""
    if side == 8:
        return 1.0
    _, small, grid = detrended(planes, side // 2)
    quarters = block_means(small.reshape(grid), 2).ravel()
    return float(np.median(quarters[chosen] / power[chosen]))


@functools.cache
def _surface(side: int) -> NDArray[np.float64]:
    """An orthonormal basis of the quadratic surfaces on a block."""
    t = np.linspace(-1, 1, side)
    y, x = np.meshgrid(t, t, indexing="ij")
    terms = [y**i * x**j for i in range(3) for j in range(3 - i)]
    basis: NDArray[np.float64] = np.linalg.qr(np.stack(terms, -1).reshape(side * side, -1))[0]
    return basis


def lagged_products(
    x: NDArray, reach: int, axes: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Sums over pixels of x(p) x(p + lag) for lags up to `reach`, without wrapping round.

    Parameters
    ----------
    x : ndarray
        Pixels.
    reach : int
        Largest lag along each axis.
    axes : tuple of int, optional
        Axes of the lags, all by default; sums are separate along the others.

    Returns
    -------
    ndarray
        In the place of each axis ``2 reach + 1`` lags, 0 in the middle.

    Examples
    --------
    >>> lagged_products(np.array([1.0, 2.0, 3.0]), 2).round(9)
    array([ 3.,  8., 14.,  8.,  3.])
    """
    axes = tuple(range(x.ndim)) if axes is None else axes
    size = [fft.next_fast_len(x.shape[axis] + reach, real=True) for axis in axes]
    sums = fft.irfftn(np.abs(fft.rfftn(x, size, axes=axes)) ** 2, size, axes=axes)
    lags = np.arange(-reach, reach + 1)
    for axis, padded in zip(axes, size, strict=True):
        sums = np.take(sums, lags % padded, axis=axis)
        absent = np.abs(lags) >= x.shape[axis]  # a thin axis has no such pairs
        np.moveaxis(sums, axis, 0)[absent] = 0
    return np.asarray(sums)


@functools.cache
def mixing(side: int, reach: int) -> tuple[list[tuple[int, int]], NDArray[np.float64]]:
    """Lags of a half plane, and how autocovariances of noise turn into sums after detrending.

    With the projection P on what the surface leaves, noise of covariance C gives the sums
    ``sum_i (P C P)[i, i + lag]``, which is linear in C.
    """
    lags = [(y, x) for y in range(reach + 1) for x in range(-reach, reach + 1) if (y, x) >= (0, 0)]
    basis = _surface(side)
    project = np.eye(side * side) - basis @ basis.T
    row, column = np.divmod(np.arange(side * side), side)

    def pairs(y: int, x: int) -> tuple[NDArray, NDArray]:
        inside = (row + y < side) & (column + x >= 0) & (column + x < side)
        first = np.flatnonzero(inside)
        return first, first + y * side + x

    matrix = np.zeros((len(lags), len(lags)))
    for j, lag in enumerate(lags):
        first, second = pairs(*lag)
        # P C P for a C of ones at (first, second) and (second, first), without forming C.
        half = project[:, first] @ project[second]
        covariance = half if lag == (0, 0) else half + half.T
        for i, other in enumerate(lags):
            a, b = pairs(*other)
            matrix[i, j] = covariance[a, b].sum()
    return lags, matrix
