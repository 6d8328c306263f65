"""A warning where an image is unlike those a model was trained on.

A network answers everywhere, also where it has seen nothing alike. Five local features, all
averaged over a window so that noise does not matter, are compared with their ranges in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.models.record import TrainingLook
from unnoise.quality import blocks

FEATURES = ("mean", "variance", "fine gradient", "coarse gradient", "fine over coarse variance")
PATCH = 16
"""Width of the window in pixels; smaller novelties are missed."""
FLAGGED = 0.01
"""Share of held-out training pixels that is flagged."""
TAIL = 0.005
"""Share of the training pixels beyond each end of a range."""
FLOOR = 1e-3
"""Least variance in units of the typical one: makes flat regions one and the same."""
SAMPLES = 20_000
"""Pixels that stand for the training images."""
PIECES = 24
"""Parts of training images that are looked at; bounds the time at about 5 s."""
SIDES = {2: 256, 3: 64}
"""Their largest side in pixels."""
ROWS = 2**16
"""Pixels that are compared at a time."""


def learn_look(images: Sequence[ArrayLike], rng: np.random.Generator) -> TrainingLook:
    """Learn what training images look like.

    The directions are the features themselves and the principal axes of their covariance, so that
    unusual combinations count as well as unusual values. The threshold comes from
    cross-validation over images, or over blocks of few images. Of many or large images, only
    random parts are looked at.

    Parameters
    ----------
    images : sequence of array-like (y, x) or (z, y, x)
        Noisy training images, of 16 pixels or more, in image units.
    rng : Generator
        Chooses the pixels that are looked at.

    Raises
    ------
    InputError
        If there is no image, or images are not finite or differ in dimensions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> look = learn_look([rng.normal(size=(64, 64))], rng)
    >>> bool(novel_share(novelty(rng.normal(size=(64, 64)), look)) < 0.05)
    True
    >>> bool(novel_share(novelty(5 * rng.normal(size=(64, 64)), look)) > 0.9)
    True
    """
    if not len(images) or len({np.ndim(image) for image in images}) > 1:
        raise InputError(
            "there are no training images, or both 2D and 3D ones; pass images of one kind"
        )
    pieces = _pieces(images, rng)
    centre = float(np.median([np.median(p.pixels) for p in pieces]))
    deviations = np.concatenate([_deviation(p.pixels)[p.core].ravel() for p in pieces])
    unit = float(np.median(deviations)) or float(deviations.mean()) or 1.0
    rows, groups = _sample(pieces, rng, centre, unit)
    folds = min(4, int(groups.max()) + 1)
    scores = np.ones(1)
    if folds > 1:
        parts = [groups % folds == k for k in range(folds)]
        scores = np.concatenate([_score(rows[p], *_ranges(rows[~p])) for p in parts])
    directions, low, middle, high = _ranges(rows)
    return TrainingLook(
        ndim=np.ndim(images[0]),
        patch=PATCH,
        centre=centre,
        unit=unit,
        directions=directions.tolist(),
        low=low.tolist(),
        middle=middle.tolist(),
        high=high.tolist(),
        threshold=max(1.0, float(np.quantile(scores, 1 - FLAGGED))),
    )


def novelty(image: ArrayLike, look: TrainingLook) -> NDArray[np.float64]:
    """How unlike the training images the surroundings of every pixel are.

    Parameters
    ----------
    image : array-like (y, x) or (z, y, x)
        Noisy image in the units of the training images.
    look : TrainingLook
        From `learn_look`.

    Returns
    -------
    ndarray
        In the shape of the image: the distance from the training median along the worst direction,
        in units of what held-out training pixels reach; 1 % of these exceed 1.

    Raises
    ------
    InputError
        If the image is not finite or has other dimensions than the training images.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> look = learn_look([rng.normal(size=(64, 64))], rng)
    >>> novelty(np.zeros((32, 32)), look).shape
    (32, 32)
    """
    (x,) = blocks.pixels(image)
    if x.ndim != look.ndim:
        raise InputError(
            f"the image has {x.ndim} dimensions and the training images {look.ndim}; "
            "pass an image of the same kind"
        )
    rows = _features(x, look.patch, look.centre, look.unit).reshape(-1, len(FEATURES))
    arrays = (np.array(a, np.float64) for a in (look.directions, look.low, look.middle, look.high))
    return (_score(rows, *arrays) / look.threshold).reshape(x.shape)


def novel_share(warning: ArrayLike) -> float:
    """Share of the pixels of a map of `novelty` that are unlike the training images.

    Examples
    --------
    >>> novel_share([[0.2, 0.7], [0.9, 3.0]])
    0.25
    """
    return float(np.mean(np.asarray(warning) > 1))


def _window(x: NDArray, patch: int) -> NDArray[np.float64]:
    """Local mean over about `patch` pixels."""
    return np.asarray(ndimage.gaussian_filter(x, patch / 4, truncate=2))


def _deviation(x: NDArray) -> NDArray[np.float64]:
    """Local standard deviation."""
    return np.sqrt(_window((x - _window(x, PATCH)) ** 2, PATCH))


def _features(x: NDArray, patch: int, centre: float, unit: float) -> NDArray[np.float64]:
    """Features of every pixel (*space, feature); all but the mean are logarithms of energies."""
    x = (x - centre) / unit
    mean = _window(x, patch)
    blurred = ndimage.gaussian_filter(x, 1)
    steep = [
        _window(ndimage.gaussian_gradient_magnitude(x, sigma, truncate=3) ** 2, patch)
        for sigma in (1, patch / 8)
    ]
    fine = _window((x - blurred) ** 2, patch)
    # the mean is subtracted after squaring, so that a bright spot reaches no farther than a window
    spread, coarse = (_window(a**2, patch) - _window(a, patch) ** 2 for a in (x, blurred))
    energies = [np.log(np.maximum(e, 0) + FLOOR) for e in (spread, *steep, fine, coarse)]
    variance, near, far, small, large = energies
    # beyond 10 typical deviations, the mean too is a matter of ratios
    return np.stack([10 * np.arcsinh(mean / 10), variance, near, far, small - large], axis=-1)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part of a training image, with a margin where the image goes on."""

    image: int
    origin: tuple[int, ...]
    pixels: NDArray[np.float64]
    core: tuple[slice, ...]


def _pieces(images: Sequence[ArrayLike], rng: np.random.Generator) -> list[_Piece]:
    """Random parts of the images; whole images where these are few and small."""
    chosen = rng.permutation(len(images))[:PIECES]
    pieces = []
    for i in sorted(chosen.tolist()):
        (x,) = blocks.pixels(images[i])
        sides = [min(n, SIDES[x.ndim]) for n in x.shape]
        wanted = min(PIECES // len(chosen), 4 * x.size // int(np.prod(sides)))
        for _ in range(1 if sides == list(x.shape) else max(1, wanted)):
            # drawn beyond the ends, so that borders are not seen less often
            start = tuple(
                int(np.clip(rng.integers(-m, n + 1), 0, n - m))
                for n, m in zip(x.shape, sides, strict=True)
            )
            ends = list(zip(start, sides, strict=True))
            outer = tuple(slice(max(a - PATCH, 0), a + m + PATCH) for a, m in ends)
            core = tuple(slice(min(a, PATCH), min(a, PATCH) + m) for a, m in ends)
            pieces.append(_Piece(i, start, x[outer], core))
    return pieces


def _sample(
    pieces: Sequence[_Piece], rng: np.random.Generator, centre: float, unit: float
) -> tuple[NDArray, NDArray]:
    """Features of random pixels (n, features), and a number for the image or block of each."""
    each = max(500, SAMPLES // len(pieces))
    few = len({p.image for p in pieces}) < 4
    rows, groups = [], []
    for p in pieces:
        features = _features(p.pixels, PATCH, centre, unit)[p.core]
        shape = features.shape[:-1]
        chosen = rng.choice(math.prod(shape), min(each, math.prod(shape)), replace=False)
        rows.append(features.reshape(-1, len(FEATURES))[chosen])
        place = np.stack(np.unravel_index(chosen, shape), axis=-1) + p.origin
        groups.append((place // (2 * PATCH)).sum(axis=-1) if few else np.full(chosen.size, p.image))
    order = np.unique(np.concatenate(groups), return_inverse=True)[1]
    return np.concatenate(rows), order


def _ranges(rows: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Directions (2 features, features) and low, median and high end along each."""
    low, high = np.quantile(rows, [TAIL, 1 - TAIL], axis=0)
    scale = np.maximum(high - low, 0.1)
    inside = np.clip(rows, low, high) / scale  # so that outliers turn no axis
    _, axes = np.linalg.eigh(np.atleast_2d(np.cov(inside.T, bias=True)))
    directions = np.concatenate([np.eye(len(scale)), axes.T]) / scale
    along = rows @ directions.T
    low, middle, high = np.quantile(along, [TAIL, 0.5, 1 - TAIL], axis=0)
    # a range must not be so narrow that chance decides
    least = np.maximum(0.1 * (high - low), 0.02)
    return directions, np.minimum(low, middle - least), middle, np.maximum(high, middle + least)


def _score(
    rows: NDArray, directions: NDArray, low: NDArray, middle: NDArray, high: NDArray
) -> NDArray[np.float64]:
    """Largest distance from the median over the direction, in half ranges of its own side."""
    scores = np.empty(len(rows))
    for start in range(0, len(rows), ROWS):  # a million pixels at once took 400 MB
        away = rows[start : start + ROWS] @ directions.T - middle
        worst = np.maximum(away / (high - middle), -away / (middle - low)).max(axis=-1)
        scores[start : start + ROWS] = worst
    return scores
