"""The correction that keeps the mean of an image, dark and bright, measured on training images.

Nets that are trained in a few steps, penalties that favour the median, the way back from a
transform: each may move the mean of few photons by some percent. Noise has zero mean, so at any
intensity that is told without the pixel itself (by its neighbours) the mean of noisy minus clean is
the bias there, whatever the pixel's own noise did to its result. In all, results get the mean of
the noisy pixels exactly, as a sum over an image knows it far better than any net: what smooths
noise keeps nearly all of its mean, so the differences scatter little. A net that was trained for
a short while does not treat a picture and its mirror image alike, so means over flips and rotations
have a correction of their own: with that of one pass they missed the mean of 0.2 photons by up to
2.4 % (`benchmarks/photon_bias.py`, 60 steps).

Results of CARE have the units of its clean images, which may be of another exposure, so what they
miss is measured on the training pairs, as clean image minus result: without it the mean of 0.2
photons was missed by 2 % in the mean over 20 trainings of 20 steps, and by 4 % in a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from unnoise.images import axes as ax
from unnoise.images.axes import Where
from unnoise.images.image import Image
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.model import Model
from unnoise.models.negative_pixels import negative_channels
from unnoise.models.predict import predict
from unnoise.noise.local_mean import local_mean
from unnoise.quality.region import part_of, somewhere

BUDGET = 2**18
"""Pixels that are looked at: up to a second or two."""
EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997)
"""Quantiles between the bins of intensity: denser where bright spots are."""
FEWEST = 64
"""Pixels of a bin at least."""
WIDTH = 1.0
"""Standard deviation in pixels of the window that tells the intensity of a pixel."""
AGAIN = 8
"""Places in a row that were seen before, after which all are taken to be."""
APART = 0.5
"""Distance of two bins in standard deviations of the results within one: between nearer ones the
neighbours tell no difference, and a slope would be chance."""
KEPT = ("gaussian", "tv", "wavelet", "bm3d")
"""Filters that keep means. Non-local means likes values that are frequent: it lost 5 % of 0.2
photons (`benchmarks/photon_bias.py`)."""
STEEP = 0.5
"""A correction may take back this share of the differences between results, no more."""


def with_mean_correction(
    model: Model,
    images: Sequence[Image],
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> Model:
    """The model with results that keep the mean of its training images, or of their clean versions.

    Parameters
    ----------
    model : Model
        Trained, with its noise; of a single group of images.
    images : sequence of Image
        Its training images.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs. Clean ones are what results should have the mean of; noisy ones
        are not asked, as they are brought to the brightness of the first to be learned from.
    """
    supervised = model.config.entry.pairs == "clean"
    if supervised and targets is None:
        return model  # nobody knows what it misses
    partners = targets if supervised and targets is not None else images
    rng = np.random.default_rng([model.config.training.seed, 11])
    # Where noise is correlated the neighbours know it, and so would the intensities. A clean image
    # knows nothing of the noise, so results themselves tell the intensity where there is one.
    binned = supervised or (model.noise is not None and not any(model.noise.correlated))
    bare = replace(model, mean_correction=None)
    ways = (False, True) if _passes_differ(model) else (False,)
    found: list[list[list[NDArray[np.float64]]]] = [[[] for _ in model.channels] for _ in ways]
    spent, seen, again = 0, set[tuple[int, ...]](), 0
    while spent < BUDGET and again < AGAIN:
        which, at, part = somewhere(images, model.ndim, rng)
        place = (which, *at.values(), *(region.start for region in part.values()))
        again = again + 1 if place in seen else 0  # small images have few places
        if again:
            continue
        seen.add(place)
        wanted, excluded = _wanted(images[which], partners[which], {**at, **part})
        around, only = part_of(images[which], {**at, **part}, model)
        clean = [_results(bare, around, only, device, tta=tta)[0, 0] for tta in ways]
        for i, c in enumerate(model.channels):
            pixels = wanted[0, 0, c].astype(np.float64).reshape(wanted.shape[-model.ndim :])
            used = np.ones(pixels.shape, np.bool_)
            if excluded is not None:
                used = ~excluded[0, 0, c].reshape(pixels.shape)
            around_it = None if supervised else local_mean(pixels, WIDTH)[0]
            for own, values in zip(found, clean, strict=True):
                result = values[c].reshape(pixels.shape)
                guide = result if around_it is None else around_it
                own[i].append(np.stack([pixels, result, guide])[:, used])
        spent += wanted.size
    one, *averaged = (_correction(rows, binned=binned) for rows in found)
    if any(value is not None for way in (one, *averaged) for value in way.less):
        # What lies below 0 may be rare, and elsewhere.
        looked = [negative_channels(partners[which]) for which in {int(place[0]) for place in seen}]
        negative = np.logical_or.reduce(looked)[list(model.channels)].tolist()
        one, *averaged = (way.unclipped(negative) for way in (one, *averaged))
    return replace(model, mean_correction=replace(one, averaged=(*averaged, None)[0]))


def _wanted(image: Image, partner: Image, where: Where) -> tuple[NDArray, NDArray[np.bool_] | None]:
    """The pixels of a part whose mean results should have, and which ones are no measurement."""
    piece = partner.part(where)
    marks = [piece.excluded(), None if partner is image else image.part(where).excluded()]
    known = [mark for mark in marks if mark is not None]
    return piece.read(), np.logical_or.reduce(known) if known else None


def _correction(found: Sequence[Sequence[NDArray]], *, binned: bool) -> MeanCorrection:
    """Out of noisy pixels, results and intensities, by channel and piece."""
    pixels = [np.concatenate(rows, 1) for rows in found]
    lines = [_polyline(*rows, binned=binned) for rows in pixels]
    at_all, add = zip(*lines, strict=True)
    less = tuple(
        _less(rows[0], rows[1] + np.interp(rows[1], *line))
        for rows, line in zip(pixels, lines, strict=True)
    )
    known = () if all(value is None for value in less) else less
    return MeanCorrection(at_all, add, known)


def _passes_differ(model: Model) -> bool:
    """Whether a picture and its mirror image may get other means: by nets that were trained here.

    The shipped net has seen pictures enough, and filters know no directions.
    """
    own = [m for m, _ in model.members if m.config.entry.run != "filter"]
    made_here = any(not m.config.entry.is_stabilized for m in own)
    return made_here and len(model.symmetries) > 1


def keeps_mean(model: Model) -> bool:
    """Whether the mean of results has to be kept: most classic filters do so by themselves."""
    return model.config.method not in KEPT


def _results(
    model: Model, piece: Image, only: dict[str, int], device: torch.device, *, tta: bool
) -> NDArray[np.float64]:
    """The clean version of a part in memory, or of one frame of it, STCZYX."""
    clean = np.empty(piece.shape)
    for block in predict(model, piece, device=str(device), tta=tta, only=only):
        clean[ax.index(ax.CANONICAL, block.where)] = block.values
    return clean[ax.index(ax.CANONICAL, only)]


def _polyline(
    noisy: NDArray, clean: NDArray, guide: NDArray, *, binned: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What to add to results, at which results, so that sums are kept, dark and bright.

    Parameters
    ----------
    noisy, clean, guide : ndarray, shape (n,)
        Pixels, results, and intensities that do not know the noise of the pixel.
    binned : bool
        Whether there is a value for every intensity, or one for all.
    """
    missing = noisy - clean
    if not len(missing):
        return (0.0,), (0.0,)
    bins = _bins(guide) if binned else [np.arange(len(guide))]
    at, mean, variance, weight, count = _apart(bins, clean, missing)
    # Towards the common value where its own error leaves room for that.
    common = float(np.average(mean, weights=weight))
    excess = mean - common
    add = _ordered(at, common + excess**3 / (excess**2 + 4 / weight + 1e-300), count)
    # What is missing still goes where the noise is strongest, so that the sum is kept.
    rest = float((missing - np.interp(clean, at, add)).mean())
    add = add + rest * variance / float(np.interp(clean, at, variance).mean())
    add = _ordered(at, add, count)
    add = add + float((missing - np.interp(clean, at, add)).mean())
    return tuple(at.tolist()), tuple(add.tolist())


def _less(noisy: NDArray, corrected: NDArray) -> float | None:
    """What to take from results of positive data, before negative ones become 0, so that the mean
    stays; None where data may be negative or no result is.

    Counts and power are never negative, and a result that is 0 there is nearer to the truth. By a
    difference and not by a factor, which would darken all bright spots of a sparse image.
    """
    if not len(noisy) or noisy.min() < 0 or corrected.min() >= 0:
        return None
    wanted = float(noisy.mean())
    low, high = 0.0, float(corrected.max())
    for _ in range(60):
        middle = (low + high) / 2
        more = float(np.maximum(corrected - middle, 0).mean()) > wanted
        low, high = (middle, high) if more else (low, middle)
    return low


def _ordered(
    at: NDArray[np.float64], add: NDArray[np.float64], count: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The nearest corrections that leave results their order and a share of their differences.

    The running maximum, which was here before, lifted all that was brighter than one violator.
    """
    return np.asarray(isotonic_regression(add + STEEP * at, weights=count).x - STEEP * at)


def _bins(guide: NDArray) -> list[NDArray[np.intp]]:
    """Pixels by intensity; few ones go to those below."""
    edges = np.unique(np.quantile(guide, EDGES))
    which = np.searchsorted(edges, guide, side="right")
    groups: list[NDArray[np.intp]] = []
    for i in range(len(edges) + 1):
        own = np.flatnonzero(which == i)
        if groups and len(own) < FEWEST:
            groups[-1] = np.concatenate([groups[-1], own])
        elif len(own):
            groups.append(own)
    return groups


def _apart(
    bins: Sequence[NDArray[np.intp]], clean: NDArray, missing: NDArray
) -> NDArray[np.float64]:
    """Mean result, mean and variance of what is missing, its weight and pixels, of separate bins.

    In the order of their results, bins are joined until these differ more than within a bin. Each
    counts by what is known of it: where dark pixels are both background and rims of bright spots,
    the background decides, and the spots get the rest.
    """
    rows = []
    for own in bins:
        variance = max(float(missing[own].var()), 1e-300)
        weight = len(own) / variance
        reach = clean[own].mean() + APART * clean[own].std()
        rows.append((clean[own].mean(), missing[own].mean(), variance, weight, len(own), reach))
    joined: list[list[NDArray[np.float64]]] = []
    for row in np.array(sorted(rows)):
        if joined and row[0] <= joined[-1][0][-1]:
            joined[-1].append(row)
        else:
            joined.append([row])
    found = []
    for group in map(np.array, joined):
        weights = group[:, 3]
        means = np.average(group[:, :3], axis=0, weights=weights)
        found.append([*means, weights.sum(), group[:, 4].sum()])
    return np.array(found).T
