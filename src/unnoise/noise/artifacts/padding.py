"""Padding: regions of one constant value that noise makes improbable."""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from unnoise.images.robust_sigma import noise_sigma
from unnoise.noise.artifacts.bad_pixels import constant

CHANCE = 1e-6
"""Probability that noise makes a region constant, below which it is taken for padding."""
INSIDE = 1e-3
"""A value with this share of the pixels below and above it is no end of the histogram."""
ABRUPT, STEEP = 3.0, 0.6
"""At an end of the histogram padding differs from what lies beside it by so many standard
deviations of the noise, and by this share of what it differs from pixels further away: around
saturated places and clipped darkness values rise slowly."""
STROKES, SMALLEST_STROKE, MOST_STROKES = 30, 4, 0.2
"""Pixels of burnt-in text at least, in pieces of so many, and the largest share of a picture."""
FAR, APART = 8.0, 0.1
"""By so many standard deviations of the noise, and by this share of the range of all others, text
is brighter or darker than they are."""
SMOOTH = 2.5
"""Steps between grey levels that padding differs from what lies beside it, at least."""
THIN, ALIKE = 16, 0.1
"""Strips along an edge of a plane of fewer lines are looked for line by line; the next line has at
most this share of pixels of their value, as dark and saturated places do not end at a line."""
STEADY = 0.5
"""Least distance of a strip from where the two lines beside it lead to, of that to the first: in a
smooth picture without noise, which may have an even line at its edge, it is far less."""
CONVEX = 0.98
"""Share of rows and columns that padding cuts into one piece; saturated places cut many."""


def padding(plane: NDArray, excluded: NDArray[np.bool_]) -> list[tuple[float, NDArray[np.bool_]]]:
    """Regions of one constant value that noise makes improbable, with their values.

    Parameters
    ----------
    plane : ndarray, shape (y, x)
    excluded : ndarray of bool, shape (y, x)
        Pixels that are known to be no measurement.

    Examples
    --------
    >>> plane = np.random.default_rng(0).poisson(50, (64, 64))
    >>> plane[:, :20] = 0
    >>> [(value, int(region.sum())) for value, region in padding(plane, plane < 0)]
    [(0.0, 1280)]
    """
    core = constant(plane)
    core &= ~excluded
    found = []
    values, counts = np.unique(plane[core], return_counts=True)
    for value in values[np.argsort(-counts)][:8]:
        same = (plane == value) & ~excluded
        labels, _ = ndimage.label(same)
        region = np.isin(labels, np.unique(labels[core & same])) & same
        if _is_padding(plane, region, excluded, value):
            found.append((float(value), region))
    for _, region in found:
        excluded = excluded | region
    for value, region in _strips(plane, excluded):
        if _is_padding(plane, region, excluded, value):
            found.append((float(value), region))
            excluded = excluded | region
    if excluded.all():  # constant regions beside each other: a picture without noise
        return []
    return [*found, *_strokes(plane, excluded)]


def _strips(plane: NDArray, excluded: NDArray[np.bool_]) -> Iterator[tuple[Any, NDArray[np.bool_]]]:
    """Thin strips of one value along the edges of a plane, as the correction of motion leaves."""
    edges = []
    for axis in (0, 1):
        for order in (1, -1):
            lines, gone = (np.moveaxis(a, axis, 0)[::order] for a in (plane, excluded))
            value, depth = _depth(lines, gone)
            if depth:
                edges.append((axis, order, value, depth))
    for value in {edge[2] for edge in edges}:
        region = np.zeros(plane.shape, np.bool_)
        own = [edge for edge in edges if edge[2] == value]
        for axis, order, _, depth in own:
            np.moveaxis(region, axis, 0)[::order][:depth] = True
        kept = np.zeros(plane.shape, np.bool_)
        for axis, order, _, depth in own:
            lines, gone = (np.moveaxis(a, axis, 0)[::order] for a in (plane, excluded | region))
            if _ends_here(lines, gone, value, depth):
                np.moveaxis(kept, axis, 0)[::order][:depth] = True
        kept &= ~excluded
        if kept.any():
            yield value, kept


def _depth(lines: NDArray, gone: NDArray[np.bool_]) -> tuple[Any, int]:
    """The value of the first lines, and how many hold no other; 0 where that is no thin strip."""
    first = lines[0][~gone[0]]
    if len(first) < 8 or (first != first[0]).any():
        return None, 0
    same = ((lines[:THIN] == first[0]) | gone[:THIN]).all(axis=1)
    return first[0], 0 if same.all() else int(same.argmin())


def _ends_here(lines: NDArray, gone: NDArray[np.bool_], value: Any, depth: int) -> bool:
    """Whether a strip of so many lines ends at once, and is no chance of what lies beside it.

    Where a share c of neighbours are equal, n independent pixels are by a chance below c^(n/2).
    Neighbours in a smooth picture without noise are not independent: its even lines lie where those
    beside them lead to.
    """
    beside, known = lines[depth : depth + THIN], ~gone[depth : depth + THIN]
    if known[0].sum() < 8 or float((beside[0][known[0]] == value).mean()) > ALIKE:
        return False
    if len(beside) > 1:
        both = known[0] & known[1]
        near, far = (line[both].astype(np.float64) - float(value) for line in beside[:2])
        if np.sum((2 * near - far) ** 2) < STEADY**2 * np.sum(near**2):
            return False
    pairs = known[:, 1:] & known[:, :-1]
    equal = float((beside[:, 1:] == beside[:, :-1])[pairs].mean()) if pairs.any() else 1.0
    return bool(depth * lines.shape[1] / 2 * log(max(equal, 1e-6)) < log(CHANCE))


def _strokes(
    plane: NDArray, excluded: NDArray[np.bool_]
) -> Iterator[tuple[float, NDArray[np.bool_]]]:
    """Burnt-in text and scale bars: strokes of one value far beyond all other pixels."""
    is_whole = not excluded.any()
    known = plane.reshape(-1) if is_whole else plane[~excluded]
    step = 1.0 if plane.dtype.kind in "ui" else 0.0
    for value in (known.max(), known.min()) if known.size else ():
        same = plane == value if is_whole else (plane == value) & ~excluded
        count = int(np.count_nonzero(same))
        if not STROKES <= count <= MOST_STROKES * known.size:
            continue
        others = np.quantile(_small(plane[~excluded & ~same]), (1e-4, 0.5, 1 - 1e-4))
        gap = value - others[-1] if value > others[1] else others[0] - value
        # Around saturated places there are pixels of all values below.
        if gap < APART * (others[-1] - others[0]):
            continue
        if gap < FAR * max(_noise(plane, ~excluded & ~same), step):
            continue
        labels, _ = ndimage.label(same, np.ones((3, 3)))
        region = (np.bincount(labels.ravel()) >= SMALLEST_STROKE)[labels] & same
        if region.sum() >= STROKES:
            yield float(value), region


def _small(values: NDArray) -> NDArray:
    """Small integers as they are, which are sorted quickly; all others as float64."""
    return (
        values if values.dtype.kind == "u" and values.dtype.itemsize <= 2 else values.astype(float)
    )


def _is_padding(
    plane: NDArray, region: NDArray[np.bool_], excluded: NDArray[np.bool_], value: float
) -> bool:
    """Whether a constant region is no measurement."""
    used = ~excluded & ~region
    others = plane[used]
    if not others.size:
        return False
    sigma = _noise(plane, used)
    step = 1.0 if plane.dtype.kind in "ui" else 0.0
    if step:  # the chance that rounding alone hides the noise of every pixel
        one = float(special.erf(step / (2**1.5 * max(sigma, 1e-9))))
        if region.sum() * log(max(one, 1e-300)) > log(CHANCE):
            return False
    below, above = float((others < value).mean()), float((others > value).mean())
    inner = ndimage.binary_dilation(region)
    near = ndimage.binary_dilation(inner) & ~inner & used
    if min(below, above) > INSIDE:
        # Beside a smooth place of one rounded value lie the values next to it.
        beside = np.abs(plane[near].astype(np.float64) - value)
        return not step or not beside.size or float(np.median(beside)) > SMOOTH * step
    middle = ndimage.binary_dilation(inner, iterations=2)
    far = ndimage.binary_dilation(middle, iterations=2) & ~middle & used
    if min(near.sum(), far.sum()) < 8:
        return False
    jump, beyond = (
        float(np.median(np.abs(plane[at].astype(np.float64) - value))) for at in (near, far)
    )
    if jump <= max(ABRUPT * sigma, STEEP * beyond):
        return False
    return below == 0 or _is_convex(~region)


def _noise(plane: NDArray, used: NDArray[np.bool_]) -> float:
    """Quick standard deviation of the noise of the used pixels."""
    x = np.where(used, plane, np.nan).astype(np.float64)
    d = (x[:-1, :-1] - x[1:, :-1] - x[:-1, 1:] + x[1:, 1:]) / 2
    d = d[np.isfinite(d)]
    return float(np.median(np.abs(d))) / 0.6745 if d.size else noise_sigma(plane)


def _is_convex(valid: NDArray[np.bool_]) -> bool:
    """Whether nearly every row and column crosses an area in one piece."""
    pieces = [
        (np.diff(np.pad(valid, 1).astype(np.int8), axis=axis) == 1).sum(axis) for axis in (0, 1)
    ]
    crossed = np.concatenate([p[p > 0] for p in pieces])
    return bool(crossed.size) and float((crossed == 1).mean()) >= CONVEX
